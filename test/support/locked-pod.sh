# Two network namespaces joined by a wire: a "pod", which is locked by the rules in $RULES, and the world. Prints what passes.
# Needs root, and is run below `unshare --net`, which is the pod. $NODE is the Node that asks.
set -eu
unshare --net sleep 60 >/dev/null &
world=$!
trap 'kill $world $served 2>/dev/null || true' EXIT
served=
in_world() { nsenter --target "$world" --net "$@"; }
as() { setpriv --reuid "$1" --regid "$1" --clear-groups --no-new-privs "${@:2}"; }

# The other process needs a moment until it is in a namespace of its own.
while [ "$(readlink /proc/$world/ns/net)" = "$(readlink /proc/$$/ns/net)" ]; do sleep 0.02; done
ip link set lo up
ip link add pod0 type veth peer name world0 netns "$world"
ip address add 10.99.0.1/24 dev pod0 && ip link set pod0 up
in_world ip address add 10.99.0.2/24 dev world0 && in_world ip link set world0 up

serve='require("net").createServer((s) => s.end("hello")).listen(8080)'
# Not by the functions: what is killed at the end has to be the server, not the shell around it.
nsenter --target "$world" --net "$NODE" --eval "$serve" >/dev/null & served=$!
setpriv --reuid 20000 --regid 20000 --clear-groups "$NODE" --eval "$serve" >/dev/null & served="$served $!"
ask='const s = require("net").connect({ host: process.argv[1], port: 8080, timeout: 2000 });
  const say = (what) => { console.log(what); process.exit(0); };
  s.on("data", () => say("open")).on("error", (e) => say(e.code)).on("timeout", () => say("silence"));'
try() { echo "$1 $("${@:3}" "$NODE" --eval "$ask" "$2")"; }
until [ "$(in_world "$NODE" --eval "$ask" 10.99.0.1)" = open ] && [ "$("$NODE" --eval "$ask" 10.99.0.2)" = open ]; do sleep 0.05; done

try workload-before 10.99.0.2 as 20000
for _ in 1 2; do nft "$RULES"; done # as where the kubelet runs an init container again
try workload-after 10.99.0.2 as 20000
try root-after 10.99.0.2 env
try proxy-after 10.99.0.2 as 10128
try workload-to-loopback 127.0.0.1 as 20000
try world-to-workload 10.99.0.1 in_world
