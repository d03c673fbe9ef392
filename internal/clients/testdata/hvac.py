"""Drives hvac, the Python client of Vault. VAULT_ADDR and VAULT_TOKEN are the server and a token with all rights; the mount
secret is KV v2. Each operation prints one line: its name, a tab and "ok" or what was wrong."""
import os
import sys

sys.path.pop(0)  # this file is called as the library is
import hvac  # noqa: E402
from hvac import exceptions  # noqa: E402


def dial(token=None):
    return hvac.Client(url=os.environ["VAULT_ADDR"], token=token)


c = dial(os.environ["VAULT_TOKEN"])
kv = c.secrets.kv.v2


def run(name, operation):
    result = "ok"
    try:
        operation()
    except Exception as e:  # noqa: BLE001: whatever it is, it is the result
        result = " ".join(f"{type(e).__name__} {e}".split())[:300]
    print(f"{name}\t{result}")


def want(got, expected):
    assert got == expected, f"got {got!r}, want {expected!r}"


def refused(kind, operation):
    try:
        operation()
    except kind:
        return
    raise AssertionError(f"want {kind.__name__}, it went through")


def health():
    want(c.is_authenticated(), True)
    want(c.sys.is_initialized(), True)
    want(c.sys.is_sealed(), False)
    want(dial("test-value").is_authenticated(), False)


def write_and_read():
    kv.create_or_update_secret("hvac", {"password": "test-value", "port": 5432})
    want(kv.read_secret_version("hvac")["data"]["data"], {"password": "test-value", "port": 5432})


def versions():
    kv.create_or_update_secret("hvac", {"password": "test-value two"}, cas=1)
    refused(exceptions.InvalidRequest, lambda: kv.create_or_update_secret("hvac", {"x": "y"}, cas=1))
    want(kv.read_secret_version("hvac", version=1)["data"]["data"]["password"], "test-value")
    want(kv.read_secret_metadata("hvac")["data"]["current_version"], 2)


def patch():
    kv.patch("hvac", {"user": "app"})
    want(kv.read_secret_version("hvac")["data"]["data"], {"password": "test-value two", "user": "app"})


def delete_and_undelete():
    kv.delete_latest_version_of_secret("hvac")
    refused(exceptions.InvalidPath, lambda: kv.read_secret_version("hvac"))
    kv.undelete_secret_versions("hvac", [3])
    want(kv.read_secret_version("hvac")["data"]["metadata"]["version"], 3)


def destroy():
    kv.destroy_secret_versions("hvac", [1])
    refused(exceptions.InvalidPath, lambda: kv.read_secret_version("hvac", version=1))


def listing():
    want("hvac" in kv.list_secrets("")["data"]["keys"], True)
    kv.delete_metadata_and_all_versions("hvac")
    refused(exceptions.InvalidPath, lambda: kv.read_secret_version("hvac"))


def tokens():
    made = c.create_token(lease="10m")["auth"]
    child = dial(made["client_token"])
    want(child.lookup_token()["data"]["orphan"], False)
    child.renew_self_token()
    child.revoke_self_token()
    refused(exceptions.Forbidden, lambda: dial(made["client_token"]).lookup_token())


run("health", health)
run("kv2 write and read", write_and_read)
run("kv2 versions and cas", versions)
run("kv2 patch by read and write", patch)
run("kv2 delete and undelete", delete_and_undelete)
run("kv2 destroy", destroy)
run("kv2 list and delete all", listing)
run("token create, lookup, renew, revoke", tokens)
