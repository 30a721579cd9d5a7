"""`nvidia-smi` on a node that declares accelerators which are not there, so that a text that counts them goes on.

It lists them and answers queries about them, each time saying that they are declared; anything else ends as it does
where there is no driver. Those that are hidden on purpose (skyrig.fleet.local.ailing) are the last ones: they are named
on standard error and left out, and the program ends with 15, which is NVIDIA's for a GPU that has fallen off the bus.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

_MEMORY_MIB = {
    "T4": 15360, "P100": 16384, "V100": 16384, "V100-32GB": 32768, "A10": 23028, "A10G": 23028, "L4": 23034,
    "RTX3090": 24576, "RTX4090": 24564, "A40": 46068, "L40": 46068, "L40S": 46068, "RTX6000-Ada": 49140,
    "A100": 40960, "A100-40GB": 40960, "A100-80GB": 81920, "H100": 81559, "H100-SXM": 81559, "H200": 143771,
    "GH200": 97871, "B200": 183359,
}  # fmt: skip
"""What the real program says of these, in MiB."""

_PROGRAM = """\
#!/bin/sh
# Put here by Skyrig: this local node declares {what}, which are not present.
name={name} count={count} memory={memory}
hidden=''
[ ! -r {hidden} ] || read -r hidden <{hidden}
case $hidden in '' | *[!0-9]*) hidden=0 ;; esac

show='' query='' format='' only=''
while [ $# -gt 0 ]; do
  case $1 in
    -L | --list-gpus) show=list ;;
    --query-gpu=*) query=${{1#*=}} ;;
    --format=*) format=${{1#*=}} ;;
    --id=* | -i=*) only=${{1#*=}} ;;
    --query-gpu) query=${{2-}} && shift ;;
    --format) format=${{2-}} && shift ;;
    --id | -i) only=${{2-}} && shift ;;
    *) show=other ;;
  esac
  [ $# -eq 0 ] || shift
done
case "$show/$query/$format" in
  list// | /?*/csv*) ;;
  *)
    echo "nvidia-smi: the $count $name of this local node are declared, not present: there is no driver to ask" >&2
    exit 9
    ;;
esac

field() {{ # FIELD INDEX: its value, or its header where INDEX is empty
  unit='' value='[N/A]'
  case $1 in
    name | gpu_name) value="$name (declared by Skyrig, not present)" ;;
    index) value=$2 ;;
    count) value=$count ;;
    uuid | gpu_uuid) value=GPU-declared-$2 ;;
    memory.total | memory.free) unit=MiB value=${{memory:-[N/A]}} ;;
    memory.used | memory.reserved) unit=MiB value=0 ;;
    utilization.gpu | utilization.memory) unit=% value=0 ;;
  esac
  case ",$format," in *,nounits,*) unit='' ;; esac
  if [ -z "$2" ]; then
    case "$1 ,$format," in
      memory.*,nounits,*) echo "$1 [MiB]" ;;
      utilization.*,nounits,*) echo "$1 [%]" ;;
      *) echo "$1${{unit:+ [$unit]}}" ;;
    esac
  else
    case $value in '[N/A]') unit='' ;; esac
    echo "$value${{unit:+ $unit}}"
  fi
}}

row() {{ # INDEX: all queried fields of one device, or the headers
  line=''
  save=$IFS IFS=,
  for one in $query; do
    IFS=$save
    line="$line${{line:+, }}$(field "${{one# }}" "$1")"
  done
  IFS=$save
  echo "$line"
}}

if [ -n "$query" ]; then
  case ",$format," in *,noheader,*) ;; *) row '' ;; esac
fi
index=0
while [ "$index" -lt $((count - hidden)) ]; do
  case ",${{only:-$index}}," in
    *,"$index",*)
      if [ -n "$query" ]; then
        row "$index"
      else
        echo "GPU $index: $name (declared by Skyrig, not present) (UUID: GPU-declared-$index)"
      fi
      ;;
  esac
  index=$((index + 1))
done
while [ "$index" -lt "$count" ]; do
  echo "Unable to determine the device handle for GPU $index: hidden on purpose (local.hide)" >&2
  index=$((index + 1))
  lost=yes
done
[ -z "${{lost-}}" ] || exit 15
"""


def nvidia_smi(accelerators: Mapping[str, Any], hidden: Path = Path(os.devnull)) -> str | None:
    """Text of the program for a node; None where no accelerators are declared, or they are real. In the file `hidden`
    stands how many are hidden, if any are."""
    if not accelerators["declared"] or not accelerators["count"]:
        return None
    name, count = str(accelerators["name"]), int(accelerators["count"])
    return _PROGRAM.format(
        what=f"{count} {shlex.quote(name)}",
        name=shlex.quote(name),
        count=count,
        memory=_MEMORY_MIB.get(name, "''"),
        hidden=shlex.quote(str(hidden)),
    )
