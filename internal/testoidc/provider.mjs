// A certified OpenID provider on loopback. Its configuration comes on standard input as one line of JSON; the address it
// listens on goes to standard output. Further lines change accounts. It ends when standard input does.
import { createInterface } from 'node:readline';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const lines = createInterface({ input: process.stdin });
lines.on('close', () => process.exit(0));
let given;
lines.on('line', (line) => {
  if (given) {
    Object.assign(given.accounts, JSON.parse(line)); // somebody has changed
    return;
  }
  given = JSON.parse(line);
  const server = createServer();
  server.listen(0, '127.0.0.1', () => {
    const issuer = `http://127.0.0.1:${server.address().port}`;
    const provider = new Provider(issuer, {
      clients: [{ client_id: given.client_id, client_secret: given.client_secret, redirect_uris: given.redirects }],
      claims: { openid: ['sub', 'amr'], email: ['email', 'email_verified'], profile: ['name'], groups: ['groups'] },
      scopes: ['openid', 'email', 'profile', 'groups'],
      pkce: { required: () => true },
      cookies: { keys: ['test-value'] },
      conformIdTokenClaims: given.userinfo,
      findAccount: (_ctx, id) => {
        const account = given.accounts[id];
        return account && { accountId: id, claims: () => ({ sub: id, ...account }) };
      },
    });
    server.on('request', provider.callback());
    process.stdout.write(`${issuer}\n`);
  });
});
