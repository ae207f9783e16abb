"""A host to type at: `convoy` in its PATH, its /etc and /run its own, and a folder to work in."""
import pathlib

from house import House

HERE = "/mnt"


class Desk(House):
    """A host that lies over a network namespace; what happens to it happens to no other."""

    def __init__(self, binary, namespace):
        super().__init__(namespace)
        try:
            self.run("sh", "-ec", f"""
                mkdir -p /run/convoy /run/wireguard
                for folder in /run/convoy /run/wireguard /usr/local/bin {HERE}; do
                    mount -t tmpfs -o mode=755 none $folder
                done
                touch /usr/local/bin/convoy
                mount --bind {binary} /usr/local/bin/convoy
                """)
        except BaseException:
            self.close()
            raise

    def clear(self):
        """As it was at first, but for what is mounted."""
        self.run("sh", "-ec", f"""
            rm -rf {HERE}/* /etc/convoy /etc/wireguard
            mkdir /etc/convoy /etc/wireguard
            for link in $(ip -br link | grep -o '^[^ @]*'); do
                [ $link = lo ] || ip link delete dev $link
            done
            """)

    def left(self):
        """All that a tunnel may leave, as text."""
        return self.run("sh", "-c", "ls /run/convoy /run/wireguard; ip -br link; ip rule; "
                        "nft list ruleset").stdout

    def put(self, name, text, mode=0o600):
        path = pathlib.PurePosixPath(HERE, name)
        self.run("sh", "-ec", f"mkdir -p {path.parent}; umask 077; cat > {path}; "
                 f"chmod {mode:o} {path}", input=text)
