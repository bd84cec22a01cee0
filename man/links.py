# SPDX-License-Identifier: MIT
"""
Installs a page for every function, in each of its forms, that is a link to the page of
its family, so that `man LoginIScsiTargetW` finds it

links.py MANDIR-BELOW-PREFIX HEADER PAGE...
"""
import os
import re
import sys


def main():
    mandir, header, *pages = sys.argv[1:]
    directory = os.path.join(os.environ["MESON_INSTALL_DESTDIR_PREFIX"], mandir, "man3")
    with open(header) as f:
        functions = set(re.findall(r"^ISDSC_STATUS WINAPI\s+(\w+)\(", f.read(), re.M))
    os.makedirs(directory, exist_ok=True)
    for page in pages:
        with open(page) as f:
            name = re.search(r"^\.Sh NAME\n(.*?)^\.Nd", f.read(), re.S | re.M)[1]
        for family in re.findall(r"^\.Nm (\w+)", name, re.M):
            for function in {family} | (functions & {family + "A", family + "W"}):
                with open(os.path.join(directory, function + ".3"), "w") as f:
                    f.write(".so man3/%s\n" % os.path.basename(page))


if __name__ == "__main__":
    main()
