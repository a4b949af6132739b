"""
An S3 server that checks signatures and speaks TLS (S3Proxy, everything in memory), and as much of a
client as puts ownCloud's objects there.
"""

import hashlib
import hmac
import http.client
import ssl
import time
from pathlib import Path
from urllib.parse import quote

from . import fetch
from .certs import Certificates
from .kafka import java
from .process import BedError, Process, free_port, run

ACCESS_KEY, SECRET_KEY = "lockstep-test", "a/secret+of=ours"
_LOG = '<configuration><appender name="O" class="ch.qos.logback.core.ConsoleAppender"><encoder>' \
       '<pattern>%d %p %m%n</pattern></encoder></appender><root level="warn"><appender-ref ref="O"/>' \
       '</root></configuration>'
_EMPTY = hashlib.sha256(b"").hexdigest()


def _hmac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class S3:
    """One bucket. `options()` are Lockstep's for it."""

    bucket, region = "owncloud-primary", "eu-central-1"

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.certificates = self.process = None

    def start(self):
        jars = fetch.s3proxy()
        self.certificates = Certificates(self.folder / "certs")
        store = self.folder / "server.p12"
        run(["openssl", "pkcs12", "-export", "-in", self.certificates.server, "-inkey",
             self.certificates.server.with_suffix(".key"), "-passout", "pass:secret", "-out", store],
            "openssl pkcs12")
        properties = self.folder / "s3proxy.conf"
        properties.write_text(
            "s3proxy.authorization=aws-v4\n"
            f"s3proxy.secure-endpoint=https://127.0.0.1:{self.port}\n"
            f"s3proxy.keystore-path={store}\ns3proxy.keystore-password=secret\n"
            f"s3proxy.identity={ACCESS_KEY}\ns3proxy.credential={SECRET_KEY}\n"
            "jclouds.provider=transient-nio2\njclouds.identity=i\njclouds.credential=c\n")
        log = self.folder / "logback.xml"
        log.write_text(_LOG)
        self.process = Process(
            "S3Proxy", [java(), "-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
                        f"-Dlogback.configurationFile={log}", "-cp", f"{jars}/*", "org.gaul.s3proxy.Main", "--properties", properties],
            self.folder / "server.log")
        self.process.wait_ready(self.answers, 120)
        self.ask("PUT", "")

    def stop(self):
        if self.process:
            self.process.stop()
            self.process = None

    def answers(self):
        try:
            self._send("GET", "/", b"", {})
            return True
        except (OSError, http.client.HTTPException):
            return False

    def options(self, secret=SECRET_KEY):
        return {"data.s3_endpoint": f"https://127.0.0.1:{self.port}", "data.s3_bucket": self.bucket,
                "data.s3_region": self.region, "data.s3_access_key": ACCESS_KEY,
                "data.s3_secret_key": secret, "data.s3_ca": self.certificates.ca}

    def put(self, fileid, content):
        self.ask("PUT", f"urn:oid:{fileid}", content)

    def remove(self, fileid):
        self.ask("DELETE", f"urn:oid:{fileid}")

    # ---- requests

    def ask(self, method, key, body=b""):
        """A signed request; BedError when it is refused."""
        place = f"/{self.bucket}" + (f"/{quote(key, safe='')}" if key else "")
        now, digest = time.gmtime(), hashlib.sha256(body).hexdigest() if body else _EMPTY
        moment, day = time.strftime("%Y%m%dT%H%M%SZ", now), time.strftime("%Y%m%d", now)
        signed = {"host": f"127.0.0.1:{self.port}", "x-amz-content-sha256": digest,
                  "x-amz-date": moment}
        scope, names = f"{day}/{self.region}/s3/aws4_request", ";".join(signed)
        lines = "".join(f"{name}:{value}\n" for name, value in signed.items())
        request = f"{method}\n{place}\n\n{lines}\n{names}\n{digest}"
        text = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n" + hashlib.sha256(request.encode()).hexdigest()
        secret = f"AWS4{SECRET_KEY}".encode()
        for part in scope.split("/"):
            secret = _hmac(secret, part)
        status, answer = self._send(method, place, body, {
            **signed, "Authorization": f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/{scope}, "
            f"SignedHeaders={names}, Signature={_hmac(secret, text).hex()}"})
        if status >= 300:
            raise BedError(f"S3Proxy: {method} {place}: HTTP {status} {answer[:300]}")
        return answer

    def _send(self, method, place, body, headers):
        context = ssl.create_default_context(cafile=self.certificates.ca)
        line = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)
        try:
            line.request(method, place, body, headers)
            answer = line.getresponse()
            return answer.status, answer.read()
        finally:
            line.close()
