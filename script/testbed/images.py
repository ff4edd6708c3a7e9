# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian images with systemd, made by mmdebstrap, cached by the hash of their recipe."""

from __future__ import annotations

import hashlib
import io
import os
import re
import tarfile
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import docker

from .engine import CACHE, LABEL, TestbedError, alone, as_root, install_packages, say

HERE = Path(__file__).parent
RECIPE_VERSION = "4"
BASE_PACKAGES = "systemd,systemd-sysv,dbus,python3,python3-apt,ca-certificates,sudo,iproute2,procps,openssh-server"
# timers that would use the CPU in the middle of a test; a container cannot set the clock
MASKED = "apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer fstrim.timer systemd-networkd-wait-online.service"
# An OpenStack control plane. Not nova-compute: the package brings QEMU and libvirt, its program is in python3-nova.
CLOUD_PACKAGES = (
    "mariadb-server rabbitmq-server memcached python3-pymysql python3-memcache haproxy keystone glance-api placement-api nova-api nova-conductor"
    " nova-scheduler neutron-server neutron-linuxbridge-agent neutron-l3-agent neutron-dhcp-agent neutron-metadata-agent cinder-api cinder-scheduler"
    " cinder-volume swift-proxy swift-account swift-container swift-object dnsmasq-base dnsmasq-utils iptables ipset ebtables conntrack iputils-arping"
    " e2fsprogs"
)
SSH_KEYS_UNIT = "[Service]\nExecStartPre=\nExecStartPre=/usr/bin/ssh-keygen -A\nExecStartPre=/usr/sbin/sshd -t\n"


@dataclass(frozen=True)
class Image:
    """An image `labtrack/<name>`: a suite from the archive, or packages on top of another image."""

    name: str
    suite: str = ""
    base: str = ""
    packages: str = ""
    files: str = ""  # directory beside this module that is copied over the image's root
    on_demand: bool = False  # built when something needs it, not by `testbed images`

    @property
    def tag(self) -> str:
        return f"labtrack/{self.name}"


IMAGES = {
    image.name: image
    for image in (
        Image("debian12", suite="bookworm"),
        Image("debian13", suite="trixie"),
        Image("debian13-store", base="debian13", packages="ceph-mon ceph-mgr ceph-osd radosgw ceph-common uuid-runtime python3-cryptography"),
        Image("cloud-packages", base="debian12", packages=CLOUD_PACKAGES, on_demand=True),
        Image("cloud-guest", base="debian13", packages="cloud-init e2fsprogs fdisk", files="cloud/guest", on_demand=True),
    )
}


def extra_authorities() -> list[str]:
    """PEM certificates that this machine trusts beyond Debian's own list (an inspecting proxy, a lab's CA)."""

    def blocks(text: str) -> list[str]:
        return re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", text, re.S)

    bundle = Path(os.environ.get("SSL_CERT_FILE", "/etc/ssl/certs/ca-certificates.crt"))
    known = {b for f in Path("/usr/share/ca-certificates").rglob("*.crt") for b in blocks(f.read_text(encoding="utf-8"))}
    return [b for b in blocks(bundle.read_text(encoding="utf-8")) if b not in known] if bundle.is_file() else []


def digest(directory: Path) -> str:
    """Hash of the names, modes and contents of all files below a directory."""
    total = hashlib.sha256()
    for path in sorted(path for path in directory.rglob("*") if path.is_file() and path.suffix != ".pyc"):
        total.update(f"{path.relative_to(directory)} {path.stat().st_mode & 0o111} {path.stat().st_size}\n".encode() + path.read_bytes())
    return total.hexdigest()


def recipe(image: Image, authorities: list[str]) -> str:
    """Hash of all that decides what is in the image."""
    parent = recipe(IMAGES[image.base], authorities) if image.base else BASE_PACKAGES + MASKED + SSH_KEYS_UNIT
    files = [digest(HERE / image.files)] if image.files else []
    text = "|".join([RECIPE_VERSION, image.suite, image.packages, parent, *authorities, *files])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def ensure(client: docker.DockerClient, name: str) -> str:
    """Build the image unless one with the same recipe is there; return its tag.

    Raises:
        TestbedError: unknown name, or the build failed.
    """
    if name not in IMAGES:
        raise TestbedError(f"unknown image '{name}': one of {', '.join(IMAGES)}.")
    image, authorities = IMAGES[name], extra_authorities()
    want = recipe(image, authorities)
    CACHE.mkdir(exist_ok=True)
    with alone(f"image-{name}"):  # two scenarios may ask at once
        try:
            if client.images.get(image.tag).labels.get("labtrack.recipe") == want:
                return image.tag
        except docker.errors.ImageNotFound:
            pass
        started = time.monotonic()
        say(f"building image {image.tag} …")
        if image.base:
            _build_derived(client, image, ensure(client, image.base), want)
        else:
            _build_base(client, image, authorities, want)
        say(f"built {image.tag} in {time.monotonic() - started:.0f} s")
    return image.tag


def _build(client: docker.DockerClient, image: Image, dockerfile: str, files: dict[str, Path], want: str) -> None:
    with tempfile.TemporaryFile(dir=CACHE) as context:
        with tarfile.open(fileobj=context, mode="w") as tar:
            for arcname, path in files.items():
                tar.add(path, arcname)
            info = tarfile.TarInfo("Dockerfile")
            info.size = len(dockerfile.encode())
            tar.addfile(info, io.BytesIO(dockerfile.encode()))
        context.seek(0)
        try:
            client.images.build(fileobj=context, custom_context=True, tag=image.tag, rm=True, forcerm=True, labels={LABEL: "image", "labtrack.recipe": want})
        except docker.errors.BuildError as error:
            log = "".join(line.get("stream", "") for line in error.build_log)[-2000:]
            raise TestbedError(f"building {image.tag} failed: {error.msg}\n{log}") from error


def _build_derived(client: docker.DockerClient, image: Image, base: str, want: str) -> None:
    dockerfile = (
        f"FROM {base}\n"
        "RUN printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d"
        f" && apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends {image.packages}"
        " && rm /usr/sbin/policy-rc.d && apt-get clean && touch -d @0 /var/lib/apt/lists\n"
    )
    files = {"files": HERE / image.files} if image.files else {}
    _build(client, image, dockerfile + ("COPY files /\n" if files else ""), files, want)


def _build_base(client: docker.DockerClient, image: Image, authorities: list[str], want: str) -> None:
    install_packages("mmdebstrap")
    with tempfile.TemporaryDirectory(dir=CACHE) as temporary:
        work = Path(temporary)
        (work / "ca").mkdir()
        for number, pem in enumerate(authorities):
            (work / "ca" / f"host-{number}.crt").write_text(pem + "\n", encoding="utf-8")
        (work / "ssh-keys.conf").write_text(SSH_KEYS_UNIT, encoding="utf-8")
        (work / "customize").write_text(CUSTOMIZE.format(work=work, masked=MASKED), encoding="utf-8")
        (work / "customize").chmod(0o755)
        options = ["--quiet", "--variant=apt", f"--include={BASE_PACKAGES}", f"--customize-hook={work}/customize"]
        options += ['--aptopt=Acquire::Languages "none"', '--aptopt=APT::Install-Recommends "false"']
        options += [f"--dpkgopt=path-exclude=/usr/share/{d}/*" for d in ("man", "locale", "doc")]
        as_root("mmdebstrap", *options, image.suite, f"{work}/rootfs.tar")
        as_root("chmod", "0644", f"{work}/rootfs.tar")
        _build(client, image, BASE_DOCKERFILE, {"rootfs.tar": work / "rootfs.tar"}, want)


# A fresh image has empty apt lists with a new time stamp: cache_valid_time would believe them fresh.
BASE_DOCKERFILE = """FROM scratch
ADD rootfs.tar /
RUN touch -d @0 /var/lib/apt/lists
ENV container=docker
STOPSIGNAL SIGRTMIN+3
CMD ["/lib/systemd/systemd"]
"""

CUSTOMIZE = """#!/bin/sh
set -eu
root=$1
echo force-unsafe-io > "$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
for unit in {masked}; do ln -sf /dev/null "$root/etc/systemd/system/$unit"; done
: > "$root/etc/machine-id"
rm -f "$root"/etc/ssh/ssh_host_*_key*
mkdir -p "$root/etc/systemd/system/ssh.service.d" "$root/usr/local/share/ca-certificates"
cp {work}/ssh-keys.conf "$root/etc/systemd/system/ssh.service.d/"
find {work}/ca -name '*.crt' -exec cp {{}} "$root/usr/local/share/ca-certificates/" \\;
chroot "$root" update-ca-certificates >/dev/null
chroot "$root" useradd --create-home --shell /bin/bash debian
echo 'debian ALL=(ALL) NOPASSWD:ALL' > "$root/etc/sudoers.d/90-cloud-init-users"
chmod 0440 "$root/etc/sudoers.d/90-cloud-init-users"
"""
