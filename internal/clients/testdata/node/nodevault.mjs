// Drives node-vault. VAULT_ADDR and VAULT_TOKEN are the server and a token with all rights; the mount secret is KV v2.
import vault from "node-vault";
import { refused, run, want } from "./check.mjs";

const { VAULT_ADDR, VAULT_TOKEN } = process.env;
const dial = (token) => vault({ apiVersion: "v1", endpoint: VAULT_ADDR, token });
const c = dial(VAULT_TOKEN);

await run("health", async () => want((await c.health()).sealed, false));
await run("mounts", async () => want((await c.mounts())["secret/"].type, "kv"));
await run("auths", async () => want((await c.auths())["token/"].type, "token"));
await run("policies", async () => want((await c.policies()).policies.includes("default"), true));
await run("kv2 write and read", async () => {
  await c.write("secret/data/node", { data: { password: "test-value", port: 5432 } });
  want((await c.read("secret/data/node")).data.data, { password: "test-value", port: 5432 });
});
await run("kv2 merge", async () => {
  await c.update("secret/data/node", { data: { user: "app" } });
  want((await c.read("secret/data/node")).data.data, { password: "test-value", port: 5432, user: "app" });
});
await run("kv2 list", async () => want((await c.list("secret/metadata")).data.keys.includes("node"), true));
await run("kv2 delete", async () => {
  await c.delete("secret/data/node");
  await refused(404, () => c.read("secret/data/node"));
});
await run("kv2 of nothing", () => refused(404, () => c.read("secret/data/nowhere-at-all")));
await run("token create, lookup, renew, revoke", async () => {
  const { auth } = await dial(VAULT_TOKEN).tokenCreate({ ttl: "10m" });
  const child = dial(auth.client_token);
  want((await child.tokenLookupSelf()).data.orphan, false);
  want((await child.tokenRenewSelf({ increment: 300 })).auth.lease_duration, 300);
  await dial(VAULT_TOKEN).tokenRevoke({ token: auth.client_token });
  await refused(403, () => dial(auth.client_token).tokenLookupSelf());
});
await run("approle", async () => {
  if (!("approle/" in (await c.auths()))) await c.enableAuth({ mount_point: "approle", type: "approle" });
  await c.write("auth/approle/role/node", { token_policies: "default", token_ttl: "10m" });
  const { data: role } = await c.getApproleRoleId({ role_name: "node" });
  const { data: secret } = await c.getApproleRoleSecret({ role_name: "node" });
  const { auth } = await dial().approleLogin({ role_id: role.role_id, secret_id: secret.secret_id });
  want(auth.policies, ["default"]);
});
await run("wrapping", async () => {
  const { wrap_info } = await c.write("sys/wrapping/wrap", { x: "test-value" }, { headers: { "X-Vault-Wrap-TTL": "60" } });
  want((await dial(wrap_info.token).unwrap()).data, { x: "test-value" });
});
