#!/bin/bash
# Writes some 100 records a second into each topic, for ever. Runs in the Redpanda
# image, for its rpk.
set -euo pipefail

produce() {
  local n=0 i
  while :; do
    for i in {1..10}; do
      n=$((n + 1))
      printf '%s-%d {"n":%d,"at":"%(%FT%T)T"}\n' "$1" $((n % 1000)) "$n" -1
    done
    sleep 0.1
  done | rpk topic produce "$1" --format '%k %v\n' --output-format ''
}

for topic in "$@"; do
  produce "$topic" &
done
wait -n # one ended: so do all, and the container starts anew
