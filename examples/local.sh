# Sets a shell up for the local network whose file is local.json in this folder: . examples/local.sh
# The keys of all roles are in the environment then, their addresses in CLIENT, PROVIDER, MASTER and AGENT.

if [ ! -r local.json ]; then
    echo "There is no local.json here; this makes one: ogpu up --network-file local.json --detach" >&2
    return 1
fi
export OGPU_NETWORK_FILE="$PWD/local.json"

# key provider: the private key of the first provider; key provider 1: that of the second.
key() { _local accounts "$1" "${2:-0}" private_key; }

# address provider 1: the same for addresses.
address() { _local accounts "$1" "${2:-0}" address; }

# ogpu … --json | field NAME: one field of what a command says; nothing when the command has failed.
field() { python3 -c 'import json, sys; print(*(json.loads(line)[sys.argv[1]] for line in sys.stdin))' "$1"; }

# _local NAME …: what the network file has there.
_local() {
    python3 - "$@" <<'END'
import json, os, sys

with open(os.environ["OGPU_NETWORK_FILE"], encoding="utf-8") as file:
    found = json.load(file)
for name in sys.argv[1:]:
    found = found[int(name) if isinstance(found, list) else name]
print(found)
END
}

# pass_time 3600: moves the chain's clock by so many seconds; there is no way back.
pass_time() {
    python3 - "$1" <<'END'
import json, os, sys, urllib.request

with open(os.environ["OGPU_NETWORK_FILE"], encoding="utf-8") as file:
    (url, *_) = json.load(file)["rpc_urls"]
for method, params in (("evm_increaseTime", [int(sys.argv[1])]), ("evm_mine", [])):
    call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    head = {"Content-Type": "application/json"}
    urllib.request.urlopen(urllib.request.Request(url, json.dumps(call).encode(), head)).close()
END
}

eval "$(ogpu config env)"
CLIENT=$(address client) PROVIDER=$(address provider) MASTER=$(address master) AGENT=$(address agent)
