# SPDX-License-Identifier: GPL-3.0-or-later
"""The control plane's services, and the unit that starts each. Debian's own units start eight processes of every API."""

from __future__ import annotations

from dataclasses import dataclass

from . import facts


@dataclass(frozen=True)
class Api:
    """A web service behind the TLS proxy."""

    name: str
    port: int
    user: str
    program: str
    processes: int = 1
    threads: int = 2
    arguments: str = ""

    @property
    def backend(self) -> str:
        """Where the proxy finds it."""
        return f"127.0.0.1:{self.port}"

    @property
    def pyargv(self) -> str:
        """Its arguments, as a line for uWSGI."""
        return f"pyargv = {self.arguments}\n" if self.arguments else ""


@dataclass(frozen=True)
class Daemon:
    """A service that talks on the message bus; `after` are queues that must be there first."""

    name: str
    user: str
    command: str
    after: str = ""


@dataclass(frozen=True)
class Store:
    """An object store, in a container of its own."""

    name: str
    port: int
    address: str

    @property
    def backend(self) -> str:
        """Where the proxy finds it."""
        return f"{self.address}:{self.port}"


NEUTRON = "--config-file /etc/neutron/neutron.conf"
ML2 = "--config-file /etc/neutron/plugins/ml2/ml2_conf.ini"
APIS = (
    Api("keystone", 5000, "keystone", "keystone-wsgi-public", processes=2),
    Api("glance", 9292, "glance", "glance-wsgi-api"),
    Api("placement", 8778, "placement", "placement-api"),
    Api("nova", 8774, "nova", "nova-api-wsgi", processes=2, threads=1),
    Api("cinder", 8776, "cinder", "cinder-wsgi"),
    Api("neutron", 9696, "neutron", "neutron-api", processes=2, threads=1, arguments=f"{NEUTRON} {ML2}"),
)
STORES = (Store("store", facts.STORE_PORT, facts.STORE_ADDRESS), Store("swift", facts.SWIFT_PORT, facts.SWIFT_ADDRESS))
# not public: Neutron's agents pass the servers' requests on
METADATA = Api("nova-metadata", 8775, "nova", "nova-metadata-wsgi", threads=1)
DAEMONS = (
    Daemon("nova-conductor", "nova", "/usr/bin/nova-conductor"),
    Daemon("nova-scheduler", "nova", "/usr/bin/nova-scheduler"),
    # root: it uses the Docker engine's socket and loop devices
    Daemon("nova-compute", "root", "/usr/local/sbin/nova-compute", after="conductor"),
    Daemon("cinder-scheduler", "cinder", "/usr/bin/cinder-scheduler"),
    Daemon("cinder-volume", "cinder", "/usr/bin/cinder-volume"),
    Daemon("neutron-rpc-server", "neutron", f"/usr/bin/neutron-rpc-server {NEUTRON} {ML2}"),
    *(
        Daemon(f"neutron-{name}", "neutron", f"/usr/bin/neutron-{name} {NEUTRON} --config-file /etc/neutron/{file}", after="q-plugin q-l3-plugin")
        for name, file in (
            ("linuxbridge-agent", "plugins/ml2/linuxbridge_agent.ini"),
            ("l3-agent", "l3_agent.ini"),
            ("dhcp-agent", "dhcp_agent.ini"),
            ("metadata-agent", "metadata_agent.ini"),
        )
    ),
)
DNS = Daemon("dns", "root", f"/usr/sbin/dnsmasq --keep-in-foreground --no-hosts --bind-interfaces --listen-address {facts.ADDRESS}")

UNIT = """[Unit]
Description=Test cloud: {name}
After=cloud-network.service mariadb.service rabbitmq-server.service memcached.service
StartLimitIntervalSec=0
[Service]
User={user}
Restart=always
RestartSec=2
TimeoutStartSec=300
TimeoutStopSec=10
KillMode=mixed
LimitNOFILE=65535
{pre}ExecStart={command}
[Install]
WantedBy=multi-user.target
"""
UWSGI = """[uwsgi]
http-socket = {api.backend}
plugins = python3
wsgi-file = /usr/bin/{api.program}
{api.pyargv}processes = {api.processes}
threads = {api.threads}
chdir = /var/lib/{api.user}
master = true
enable-threads = true
lazy-apps = true
thunder-lock = true
die-on-term = true
need-app = true
buffer-size = 65535
listen = 100
rem-header = Content-Length
http-auto-chunked = true
http-chunked-input = true
http-raw-body = true
add-header = Connection: close
disable-logging = true
log-5xx = true
"""
NETWORK_UNIT = """[Unit]
Description=Test cloud: network
DefaultDependencies=no
Before=network-pre.target network.target basic.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/cloud-network
[Install]
WantedBy=basic.target
"""


def unit_names() -> list[str]:
    """Units that the cloud consists of, beside the database, the message bus, the cache and the proxy."""
    return [f"cloud-{service.name}" for service in (*APIS, METADATA, *DAEMONS, DNS)]


def files() -> dict[str, str]:
    """Units and settings, by path."""
    units = "etc/systemd/system"
    found = {f"{units}/cloud-network.service": NETWORK_UNIT}
    for api in (*APIS, METADATA):
        found[f"etc/labtrack-cloud/{api.name}.ini"] = UWSGI.format(api=api)
        command = f"/usr/bin/uwsgi_python3 --ini /etc/labtrack-cloud/{api.name}.ini"
        found[f"{units}/cloud-{api.name}.service"] = UNIT.format(name=api.name, user=api.user, command=command, pre="")
    for daemon in (*DAEMONS, DNS):
        wait = f"ExecStartPre=/usr/local/sbin/cloud-queues {daemon.after}\n" if daemon.after else ""
        found[f"{units}/cloud-{daemon.name}.service"] = UNIT.format(name=daemon.name, user=daemon.user, command=daemon.command, pre=wait)
    return found
