// Drives the official Node SDK of Infisical. SITE is the server; CLIENT_ID and CLIENT_SECRET are those of an identity with
// rights to write in PROJECT_ID, which has the environment staging with nothing in it.
import { InfisicalSDK } from "@infisical/sdk";
import { refused, run, want } from "./check.mjs";

const { SITE, CLIENT_ID, CLIENT_SECRET, PROJECT_ID } = process.env;
const place = { projectId: PROJECT_ID, environment: "staging" };
const sdk = new InfisicalSDK({ siteUrl: SITE });

await run("universal auth: wrong secret", () =>
  refused(401, () => new InfisicalSDK({ siteUrl: SITE }).auth().universalAuth.login({ clientId: CLIENT_ID, clientSecret: "test-value" })));
await run("universal auth: login", () => sdk.auth().universalAuth.login({ clientId: CLIENT_ID, clientSecret: CLIENT_SECRET }));
await run("universal auth: renew", () => sdk.auth().universalAuth.renew());
await run("secret: create", async () => {
  const { secret } = await sdk.secrets().createSecret("NODE", { ...place, secretValue: "test-value", secretComment: "why" });
  want([secret.secretKey, secret.secretValue, secret.version, secret.type], ["NODE", "test-value", 1, "shared"]);
});
await run("secret: create twice", () => refused(400, () => sdk.secrets().createSecret("NODE", { ...place, secretValue: "test-value" })));
await run("secret: get", async () => {
  const s = await sdk.secrets().getSecret({ ...place, secretName: "NODE" });
  want([s.secretValue, s.secretComment, s.secretPath], ["test-value", "why", "/"]);
});
await run("secret: update", async () => {
  const { secret } = await sdk.secrets().updateSecret("NODE", { ...place, secretValue: "test-value two" });
  want([secret.secretValue, secret.version], ["test-value two", 2]);
});
await run("secret: rename", async () => {
  await sdk.secrets().updateSecret("NODE", { ...place, newSecretName: "NODE_TOKEN" });
  want((await sdk.secrets().getSecret({ ...place, secretName: "NODE_TOKEN" })).secretValue, "test-value two");
});
await run("secret: an old version", async () => {
  want((await sdk.secrets().getSecret({ ...place, secretName: "NODE_TOKEN", version: 1 })).secretValue, "test-value");
});
await run("folder: create and list", async () => {
  const f = await sdk.folders().create({ ...place, name: "node", path: "/" });
  want(f.name, "node");
  want((await sdk.folders().listFolders(place)).map((x) => x.name), ["node"]);
});
await run("secret: list, recursive and with imports", async () => {
  await sdk.secrets().createSecret("DEEP", { ...place, secretPath: "/node", secretValue: "test-value" });
  const { secrets } = await sdk.secrets().listSecrets({ ...place, recursive: true });
  want(secrets.map((s) => s.secretPath + " " + s.secretKey).filter((s) => s.includes("NODE") || s.includes("DEEP")), ["/ NODE_TOKEN", "/node DEEP"]);
  await sdk.secrets().listSecretsWithImports(place);
});
await run("secret: values hidden", async () => {
  want((await sdk.secrets().getSecret({ ...place, secretName: "NODE_TOKEN", viewSecretValue: false })).secretValue, "<hidden-by-infisical>");
});
await run("secret: delete", async () => {
  await sdk.secrets().deleteSecret("NODE_TOKEN", place);
  await refused(404, () => sdk.secrets().getSecret({ ...place, secretName: "NODE_TOKEN" }));
});
await run("KMS: encrypt and decrypt", async () => {
  const kms = sdk.kms();
  const key = await kms.keys().create({ projectId: PROJECT_ID, name: "node", keyUsage: "encrypt-decrypt", encryptionAlgorithm: "aes-256-gcm" });
  const plaintext = Buffer.from("test-value").toString("base64");
  const ciphertext = await kms.encryption().encrypt({ keyId: key.id, plaintext });
  want(await kms.encryption().decrypt({ keyId: key.id, ciphertext }), plaintext);
});
await run("token: set by hand", async () => {
  const other = new InfisicalSDK({ siteUrl: SITE }).auth().accessToken(sdk.auth().getAccessToken());
  await other.secrets().listSecrets(place);
});
