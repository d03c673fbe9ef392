// What both programs share: each operation prints one line, its name, a tab and "ok" or what was wrong.
import assert from "node:assert/strict";

export async function run(name, operation) {
  let result = "ok";
  try {
    await operation();
  } catch (e) {
    result = String(e?.message ?? e).split(/\s+/).join(" ").slice(0, 300) || "failed";
  }
  console.log(`${name}\t${result}`);
}

export const want = (got, expected) => assert.deepEqual(got, expected);

export async function refused(status, operation) {
  try {
    await operation();
  } catch (e) {
    const got = e?.response?.statusCode ?? e?.statusCode ?? Number(/StatusCode=(\d+)|status(?: code)?[ =:]+(\d+)/i.exec(e?.message ?? "")?.slice(1).find(Boolean));
    assert.equal(got, status, e?.message);
    return;
  }
  throw new Error(`want status ${status}, it went through`);
}
