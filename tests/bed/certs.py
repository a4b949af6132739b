"""Certificates for a test's servers, made by openssl: two authorities, a server's and a client's."""

import time

from .process import run

DAYS = "30"


class Certificates:
    """
    `ca` signed `server` (db.example and 127.0.0.1, not localhost) and `client`; `other_ca` signed
    nothing. Each is a path; the key of x.pem is x.key.
    """

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.other_ca = self._authority("ca"), self._authority("other-ca")
        self.server = self._signed("server", "subjectAltName=DNS:db.example,IP:127.0.0.1")
        self.client = self._signed("client", "extendedKeyUsage=clientAuth")

    def of_tomorrow(self):
        """`ca` as it would be if it had been made tomorrow."""
        out, folder = self.folder / "of-tomorrow.pem", self.folder / "of-tomorrow"
        folder.mkdir()
        (folder / "index.txt").touch()
        (folder / "cnf").write_text(f"[ca]\ndefault_ca = d\n[d]\ndatabase = {folder}/index.txt\n"
                                    f"new_certs_dir = {folder}\ndefault_md = sha256\npolicy = p\n"
                                    "rand_serial = yes\nx509_extensions = e\n[p]\ncommonName = supplied\n"
                                    "[e]\nbasicConstraints = CA:TRUE\n")
        key, day = self.ca.with_suffix(".key"), time.gmtime(time.time() + 86400)
        self._openssl("req", "-new", "-key", key, "-subj", "/CN=ca", "-out", folder / "request")
        self._openssl("ca", "-batch", "-selfsign", "-notext", "-config", folder / "cnf",
                      "-keyfile", key, "-in", folder / "request", "-out", out, "-days", DAYS,
                      "-startdate", time.strftime("%Y%m%d%H%M%SZ", day))
        return out

    def server_options(self):
        """Lines for the configuration of a database server."""
        return (f"ssl_ca={self.ca}", f"ssl_cert={self.server}",
                f"ssl_key={self.server.with_suffix('.key')}")

    def _openssl(self, *args):
        run(["openssl", *args], f"openssl {args[0]}")

    def _new(self, name, *args):
        out = self.folder / f"{name}.pem"
        self._openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout",
                      out.with_suffix(".key"), "-out", out, *args)
        return out

    def _authority(self, name):
        return self._new(name, "-x509", "-days", DAYS)

    def _signed(self, name, extension):
        request, out = self._new(f"{name}-request"), self.folder / f"{name}.pem"
        lines = self.folder / f"{name}.ext"
        lines.write_text(extension + "\n")
        self._openssl("x509", "-req", "-in", request, "-CA", self.ca, "-CAkey",
                      self.ca.with_suffix(".key"), "-CAcreateserial", "-days", DAYS, "-extfile",
                      lines, "-out", out)
        request.with_suffix(".key").rename(out.with_suffix(".key"))
        return out
