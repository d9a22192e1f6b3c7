# SPDX-License-Identifier: PostgreSQL
"""A strict S3 server out of OpenStack's Swift: serve.py FOLDER

The four servers that Swift is run in this one process, on ports of 127.0.0.1 that were free. The
configuration beside this file goes into the folder, objects too; FOLDER/port appears when the S3
API answers there. Nothing of the system's own Swift, if it has one, is read or changed.
"""
import os
import pathlib
import sys
import time

import eventlet
import eventlet.wsgi

HERE = pathlib.Path(__file__).parent
STORES = ("account", "container", "object")


def configure(folder, name, port):
    text = (HERE / f"{name}.conf").read_text().replace("@DIR@", str(folder)).replace("@PORT@", str(port))
    path = folder / f"{name}.conf"
    path.write_text(text)
    return str(path)


def make_ring(folder, name, port):
    """One copy of everything, on the one device."""
    from swift.common.ring.builder import RingBuilder
    ring = RingBuilder(4, 1, 0)
    ring.add_dev({"region": 1, "zone": 1, "ip": "127.0.0.1", "port": port, "replication_ip": "127.0.0.1",
                  "replication_port": port, "device": "d1", "weight": 1.0})
    ring.rebalance()
    ring.get_ring().save(str(folder / f"{name}.ring.gz"))


def main(folder):
    from swift.common import utils
    utils.SWIFT_CONF_FILE = str(folder / "swift.conf")  # otherwise the system's
    (folder / "swift.conf").write_text((HERE / "swift.conf").read_text())
    (folder / "data/d1").mkdir(parents=True)
    from swift.common.wsgi import SwiftHttpProtocol, loadapp
    os.environ["TZ"] = "UTC+0"  # its times are UTC
    time.tzset()
    utils.eventlet_monkey_patch()
    utils.validate_configuration()
    sockets = {name: eventlet.listen(("127.0.0.1", 0)) for name in (*STORES, "proxy")}
    ports = {name: socket.getsockname()[1] for name, socket in sockets.items()}
    for name in STORES:
        make_ring(folder, name, ports[name])
    threads = []
    for name in (*STORES, "proxy"):
        app = loadapp(configure(folder, name, ports[name]))
        threads.append(eventlet.spawn(eventlet.wsgi.server, sockets[name], app, log=open(os.devnull, "w"),
                                      protocol=SwiftHttpProtocol, capitalize_response_headers=False))
    (folder / "port.new").write_text(str(ports["proxy"]))
    (folder / "port.new").rename(folder / "port")
    for thread in threads:
        thread.wait()


main(pathlib.Path(sys.argv[1]))
