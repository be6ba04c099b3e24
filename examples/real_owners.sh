#!/usr/bin/env bash
# Two real owners and a trainer on this machine, by the commands that a deployment uses.
#
#   bash examples/real_owners.sh [FOLDER]      about four minutes; a new folder, with a short path for sockets
#
# On real hosts each side runs its own lines, and only the files named under "travels" change hands.
set -euo pipefail
folder=${1:-$(mktemp -d /tmp/owners-XXXX)}
mkdir -p "$folder" && cd "$folder"
export FLWR_TELEMETRY_ENABLED=0 FLWR_DISABLE_UPDATE_CHECK=1
# Everything that was started in the background ends with this script.
trap 'kill $(jobs -p) 2> /dev/null || true; wait' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
until_it_works() { for _ in $(seq 90); do "$@" > /dev/null 2>&1 && return; sleep 2; done; echo "gave up: $*" >&2; return 1; }
both_online() { [ "$(mycroft-fl trainer owners lab | grep -c online)" = 2 ]; }

echo "== data: a packaged scenario as files; put a task.toml and data of your own in their place"
mycroft-fl export rotated-digits data --set owners=2 --set budget=30 --set num-rounds=1
port=$(free_port)

echo "== trainer: keys, certificates, the task in words, the SuperLink"
mycroft-fl trainer init lab --host localhost --port "$port" --listen 127.0.0.1
mycroft-fl trainer describe lab data/trainer/task.toml
mycroft-fl trainer link lab > link.log 2>&1 &
until_it_works mycroft-fl trainer owners lab

echo "== owners: a policy, keys, a look at what would be shared, the vault"
# travels to owners: lab/trainer.pub, lab/certs/ca.crt, lab/task.json
for name in a b; do
  mycroft-fl owner init "$name" --name "$name" --data "data/owners/$name/data.npz" --task lab/task.json \
    --trainer lab=lab/trainer.pub --mode raw --max-records 100 --no-approval
  mycroft-fl owner check "$name"
  mycroft-fl owner serve "$name" > "vault-$name.log" 2>&1 &
done

echo "== trainer: admits both by their public keys"
# travels to the trainer: each owner's supernode-key.pub and vault.pub
for name in a b; do
  mycroft-fl trainer admit lab "$name" --supernode "$name/supernode-key.pub" --vault "$name/vault.pub"
done

echo "== owners: a SuperNode each, which carries sealed envelopes to the vault"
for name in a b; do
  FLWR_HOME=$PWD/node-$name flower-supernode --superlink "localhost:$port" \
    --root-certificates lab/certs/ca.crt --auth-supernode-private-key "$name/supernode-key" \
    --port "$(free_port)" --node-config "vault=\"$PWD/$name/vault.sock\"" > "node-$name.log" 2>&1 &
done
until_it_works both_online

echo "== the run, and what each owner's ledger says of it"
mycroft-fl trainer run lab data/trainer/task.toml --out run
mycroft-fl owner ledger a
mycroft-fl owner ledger b
mycroft-fl report run
