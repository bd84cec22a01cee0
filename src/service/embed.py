#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
# embed.py IN OUT NAME: the text of IN as a C string
import sys

with open(sys.argv[1], encoding="utf-8") as f:
    lines = f.read().splitlines(keepends=True)
with open(sys.argv[2], "w", encoding="utf-8") as out:
    out.write('#include "service/rpc.h"\n\nconst char %s[] =\n' % sys.argv[3])
    for line in lines:
        text = line.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        out.write('\t"%s"\n' % text)
    out.write("\t;\n")
