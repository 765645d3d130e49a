"""A package index on this computer, which answers for every host: a proxy with certificates of its own."""

import hashlib
import ssl
import zipfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


class LocalIndex(ThreadingHTTPServer):
    """Serves wheels in a folder to those that use it as their proxy and trust ``authority.pem`` there.

    Attributes
    ----------
    closed : bool
        Whether wheels with a local version, such as 1.0+cpu, which are on an index of their own, cannot be looked up.
    """

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.closed = False
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "tests")])
        (folder / "authority.pem").write_bytes(self.certificate(None).public_bytes(Encoding.PEM))

    @property
    def environment(self) -> dict[str, str]:
        """Variables of a process that shall use this index alone."""
        proxy = f"http://127.0.0.1:{self.server_port}"
        trusted = str(self.folder / "authority.pem")
        return {"HTTPS_PROXY": proxy, "https_proxy": proxy, "NO_PROXY": "", "no_proxy": "", "SSL_CERT_FILE": trusted}

    def certificate(self, host: str | None) -> x509.Certificate:
        """A certificate for a host, or that of the authority."""
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder().subject_name(self.name).issuer_name(self.name).public_key(self.key.public_key())
        )
        builder = builder.serial_number(x509.random_serial_number())
        builder = builder.not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        builder = builder.add_extension(x509.BasicConstraints(ca=host is None, path_length=None), critical=True)
        if host is not None:
            builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    def context(self, host: str) -> ssl.SSLContext:
        """What a server needs to speak as a host."""
        file = self.folder / f"{host}.pem"
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(key + self.certificate(host).public_bytes(Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context


class _Handler(BaseHTTPRequestHandler):
    server: LocalIndex

    def do_CONNECT(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.flush()
        context = self.server.context(self.path.partition(":")[0])
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.setup_files()
        self.close_connection = False

    def setup_files(self) -> None:
        self.rfile = self.connection.makefile("rb")
        self.wfile = self.connection.makefile("wb", buffering=0)  # type: ignore[assignment]

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        parts = self.path.strip("/").split("/")
        name = parts[-1]
        if name.endswith(".whl") and (self.server.folder / name).is_file():
            self.answer((self.server.folder / name).read_bytes(), "application/octet-stream")
            return
        local = parts[0] != "simple"
        wheels = [
            file
            for file in sorted(self.server.folder.glob(f"{name}-*.whl"))
            if ("+" in file.name) == (local and name.startswith("torch"))
        ]
        if not wheels or (local and self.server.closed):
            self.send_error(404)
            return
        links = [f'<a href="/files/{file.name}#sha256={sha256(file)}">{file.name}</a>' for file in wheels]
        self.answer(f"<!DOCTYPE html><html><body>{''.join(links)}</body></html>".encode(), "text/html")

    def answer(self, body: bytes, kind: str) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_wheel(folder: Path, name: str, version: str, requires: Mapping[str, str] | None = None) -> Path:
    """Write a wheel of one empty module."""
    file = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needed = "".join(f"Requires-Dist: {other}=={pinned}\n" for other, pinned in (requires or {}).items())
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(f"{name}.py", f"__version__ = {version!r}\n")
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needed}")
        archive.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        archive.writestr(f"{info}/RECORD", "")
    return file
