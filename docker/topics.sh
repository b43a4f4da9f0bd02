#!/bin/bash
# Creates the topics that are named, with four partitions each; those that exist
# are left as they are. Runs in the Redpanda image, for its rpk.
set -euo pipefail

for topic in "$@"; do
  rpk topic create "$topic" --partitions 4 ||
    [[ $'\n'$(rpk topic list) == *$'\n'"$topic "* ]] # it was there: a line of the list begins with it
done
