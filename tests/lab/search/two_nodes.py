"""Start two Ray nodes on loopback, print the address and the process of the second one's raylet, and end with stdin."""

import sys

from ray.cluster_utils import Cluster

ARGUMENTS = {"node_ip_address": "127.0.0.1", "num_cpus": 1, "object_store_memory": 100_000_000}


def main() -> None:
    cluster = Cluster(initialize_head=True, head_node_args={**ARGUMENTS, "include_dashboard": False})
    second = cluster.add_node(**ARGUMENTS)
    sys.stdout.write(f"{cluster.address} {second.all_processes['raylet'][0].process.pid}\n")
    sys.stdout.flush()
    sys.stdin.read()
    cluster.shutdown()


if __name__ == "__main__":
    main()
