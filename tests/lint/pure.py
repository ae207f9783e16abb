#!/usr/bin/python3
"""Fail when a pure module calls the world: pure.py LIB.a...

The pure floors (base packet crypto config noise peer path) get bytes, time and randomness as
arguments. Their archives may refer to memory and string functions, to what their libraries are
for, and to Convoy's own symbols (floors.py sees to it that those lie below).
"""
import pathlib
import re
import subprocess
import sys

ANY = r"""cv_\w+ | _GLOBAL_OFFSET_TABLE_ | __tls_get_addr | __cpu_model | __stack_chk_fail | __assert_fail
        | __(asan|ubsan|tsan|sanitizer|sancov|gcov|llvm)\w*
        | mem(cpy|move|set|cmp|chr|rchr|mem) | str(n?len|n?cmp|n?casecmp|r?chr|spn|cspn)
        | __(mem|str)\w+_chk | bcmp"""
HEAP = r"malloc | calloc | realloc | reallocarray | free | strn?dup | aligned_alloc"
TEXT = r"v?snprintf | __v?snprintf_chk | qsort | bsearch | if_nametoindex"
LOCK = r"pthread_(mutex|spin)_\w+"
THREAD_OWN = r"pthread_(key_create|key_delete|[gs]etspecific|once)"
ALLOWED = {
    "base": r"v?snprintf | __v?snprintf_chk | inet_[np]to[np]",
    "packet": "",
    # libsodium and libcrypto; what they need a thread for is made once by it.
    "crypto": rf"crypto_\w+ | sodium_\w+ | randombytes\w* | EVP_\w+ | HMAC\w* | OPENSSL_\w+ |"
              rf"OSSL_\w+ | CRYPTO_\w+ | abort | {HEAP} | {THREAD_OWN} | "
              r"(alloc|free|init)_mb_mgr\w* | imb_\w+",
    "config": rf"{HEAP} | {TEXT}",
    "noise": LOCK,
    "peer": rf"{HEAP} | {LOCK} | _?urcu_\w+ | (__)?cds_\w+",
    "path": rf"{HEAP} | {LOCK} | urcu_\w+",
}


def foreign(archive, allowed):
    """Undefined symbols of an archive that are not allowed, each with the object that wants it."""
    listing = subprocess.run(["nm", "-A", "-u", archive], capture_output=True, text=True,
                             check=True).stdout
    for line in listing.splitlines():
        where, _, symbol = line.rpartition(" ")
        if not allowed.fullmatch(symbol.partition("@")[0]):
            yield f"{where.split(':')[1]}: {symbol}"


def main(archives):
    wrong, seen = [], []
    for archive in archives:
        module = re.match(r"libconvoy-(\w+)", pathlib.Path(archive).name)[1]
        if module in ALLOWED:
            seen.append(module)
            allowed = re.compile(" | ".join(filter(None, [ANY, ALLOWED[module]])), re.X)
            wrong += [f"{module}: {what}" for what in foreign(archive, allowed)]
    wrong += [f"{module}: no archive was given" for module in sorted(set(ALLOWED) - set(seen))]
    print("\n".join(wrong) or f"pure: {' '.join(seen)}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
