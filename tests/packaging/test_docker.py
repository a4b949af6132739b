"""
docker/: the compose file is one by its schema, and agrees with the Dockerfile, the configuration and the
rest of this repository. No engine: the Dockerfile's commands are run by packaging/check-docker.
"""

import configparser
import json
import re

import jsonschema
import pytest
import yaml

from bed import dockerfile, fetch
from bed.daemons import STAGES
from bed.fetch import ROOT
from bed.target import Ocis

DOCKER = ROOT / "docker"
SECRETS = {"source.password", "control.key", "target.machine_key", "target.graph_password"}


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((DOCKER / "compose.yaml").read_text())


@pytest.fixture(scope="module")
def stages():
    return dockerfile.stages(DOCKER / "Dockerfile")


def conf():
    out = configparser.ConfigParser(interpolation=None, comment_prefixes=(";",), delimiters=("=",))
    out.read(DOCKER / "lockstep.conf")
    return out


def test_the_compose_file_is_one_by_its_schema(compose):
    schema = json.loads(fetch.compose_schema().read_text())
    validator = jsonschema.Draft201909Validator(schema)
    validator.validate(compose)
    with pytest.raises(jsonschema.ValidationError):  # the schema is one that sees something
        validator.validate({**compose, "services": {"x": {"imagge": "y"}}})


def test_every_file_that_is_mounted_or_copied_is_there(compose, stages):
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = re.sub(r"^\$\{\w+:-(.*?)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                assert (DOCKER / source).exists(), f"{name} mounts {source}"
            elif not source.startswith("/"):
                assert source in compose["volumes"], f"{name} mounts {source}"
    names = [s.name for s in stages]
    for i, stage in enumerate(stages):
        for origin, sources, _ in stage.copies():
            assert sources == ["."] if origin is None else origin in names[:i]
    left_out = dockerfile.ignored(DOCKER / "Dockerfile.dockerignore")
    needed = {p.name for p in ROOT.iterdir() if p.name in
              (*STAGES, "common", "ctl", "schemas", "packaging", "tests", "Makefile")}
    assert not needed & left_out and ".git" in left_out and "build" in left_out


def test_the_image_is_built_of_the_packages_that_the_repository_names(stages):
    text = (ROOT / "packaging/deps").read_text().split("# check")[0]
    wanted = set(re.sub(r"#.*", "", text).split())
    assert stages[0].packages() == wanted | {"libc6-dev"}


def test_the_programs_run_as_nobody_on_a_read_only_root(compose, stages):
    user = stages[-1].last("USER")
    assert user == "950:950" and "uid 950" in " ".join(stages[-1].all("RUN"))
    for name in (*STAGES, "lockstep"):
        service = compose["services"][name]
        assert service["read_only"] and service["user"] == user and service["cap_drop"] == ["ALL"]
        assert "ports" not in service
        writable = [v for v in service["volumes"] if not v.endswith(":ro")]
        assert writable == (["ledger:/var/lib/lockstep"] if name == "apply" else [])
        assert service["build"]["dockerfile"] == "docker/Dockerfile"
        assert (DOCKER / service["build"]["context"]).resolve() == ROOT
    assert stages[-1].last("VOLUME") == "/var/lib/lockstep"


def test_the_configuration_is_right_and_each_secret_is_an_option(lockstep, tmp_path, monkeypatch, compose):
    assert set(compose["secrets"]) == SECRETS
    for name, secret in compose["secrets"].items():
        assert secret["file"] == f"./secrets/{name}"
        (tmp_path / name).write_text("s" * 40 + "\n")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    for program in ("lockstep check", *(f"lockstep-{s}" for s in STAGES)):
        program, *words = program.split()
        status, text = lockstep(*words, "--config", DOCKER / "lockstep.conf", "--check-config",
                                program=program)
        assert status == 0, text
    dumped = lockstep("check", "--config", DOCKER / "lockstep.conf", "--dump-config")[1]
    for name in SECRETS:
        section, key = name.split(".")
        assert re.search(rf"^{key} = \*\*\*$", dumped.split(f"[{section}]")[1].split("\n[")[0], re.M), name


def test_each_daemon_is_given_the_secrets_of_its_unit(compose):
    for stage in STAGES:
        unit = (ROOT / f"packaging/systemd/lockstep-{stage}.service").read_text()
        handed = set(re.findall(r"^LoadCredential=([\w.]+):", unit, re.M))
        service = compose["services"][stage]
        assert set(service["secrets"]) == handed & SECRETS, stage
        assert service["environment"]["CREDENTIALS_DIRECTORY"] == "/run/secrets"
        assert service["command"] == [f"lockstep-{stage}"]
        assert f"Environment=LOCKSTEP_HTTP_PORT={service['environment']['LOCKSTEP_HTTP_PORT']}\n" in unit
    assert set(compose["services"]["lockstep"]["secrets"]) == SECRETS


def test_names_and_ports_agree(compose, stages):
    services = compose["services"]
    options = conf()
    assert options["http"]["listen"] == "0.0.0.0"  # Prometheus is another container
    assert "$LOCKSTEP_HTTP_PORT/healthz" in dockerfile.health_of(stages[-1].last("HEALTHCHECK"))
    prometheus = yaml.safe_load((DOCKER / "prometheus.yml").read_text())
    targets = [t for job in prometheus["scrape_configs"] for c in job["static_configs"] for t in c["targets"]]
    assert targets == [f"{s}:{services[s]['environment']['LOCKSTEP_HTTP_PORT']}" for s in STAGES]
    assert [job["job_name"] for job in prometheus["scrape_configs"]] == ["lockstep"]  # the rules' name
    mounted = services["prometheus"]["volumes"]
    assert all(any(v.split(":")[1] == f"/etc/prometheus/{r}" for v in mounted)
               for r in prometheus["rule_files"])
    grafana = yaml.safe_load((DOCKER / "datasource.yml").read_text())["datasources"][0]
    assert grafana["url"] == "http://prometheus:9090"
    provider = yaml.safe_load(next((ROOT / "packaging/grafana/provisioning/dashboards").glob("*")).read_text())
    assert any(v.split(":")[1] == provider["providers"][0]["options"]["path"]
               for v in services["grafana"]["volumes"])
    ocis = services["ocis"]["environment"]
    for option, variable in (("gateway", "OCIS_GATEWAY_GRPC_ADDR"), ("provider", "STORAGE_USERS_GRPC_ADDR"),
                             ("sharing", "SHARING_GRPC_ADDR")):
        host, port = options["target"][option].split(":")
        assert host == "ocis" and ocis[variable] == f"0.0.0.0:{port}"
    assert options["target"]["graph"] == ocis["OCIS_URL"] + "/graph"
    data_port = ocis["STORAGE_USERS_HTTP_ADDR"].split(":")[1]
    assert ocis["STORAGE_USERS_DATA_SERVER_URL"] == f"http://ocis:{data_port}/data"
    broker = options["kafka"]["bootstrap.servers"]
    assert services["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://{broker}"
    assert options["source"]["host"] in services and options["source"]["user"] \
        == services["mariadb"]["environment"]["MARIADB_USER"]
    assert re.match(r"http://registry:8080/", options["registry"]["url"])
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= set(services), name
        assert all(p.startswith("127.0.0.1:") for p in service.get("ports", [])), name


def test_the_servers_are_told_what_lockstep_needs_of_them(compose):
    """The same words as for the servers that the scenarios run on."""
    ocis = compose["services"]["ocis"]["environment"]
    known = {*Ocis.ADDRESSES, *Ocis.SETTINGS, "OCIS_URL", "STORAGE_USERS_DATA_SERVER_URL"}
    assert set(ocis) <= known
    for name in ("PROXY_ENABLE_BASIC_AUTH", "GRAPH_USERNAME_MATCH", "FRONTEND_AUTO_ACCEPT_SHARES"):
        assert ocis[name] == Ocis.SETTINGS[name]
    words = " ".join(compose["services"]["mariadb"]["command"])
    for needed in ("--log-bin", "--binlog-format=ROW", "--binlog-row-image=FULL",
                   "--binlog-row-metadata=FULL", "--server-id="):
        assert needed in words


def test_the_database_user_has_the_rights_that_the_scenarios_give_and_no_more(compose):
    from bed.database import MariaDB
    bed = set(re.findall(r"GRANT ([A-Z, ]+) ON (\S+) TO lockstep", MariaDB._accounts(None)))
    text = (DOCKER / "mariadb.sql").read_text()
    ours = set(re.findall(r"^GRANT ([A-Z, ]+) ON (\S+) TO 'lockstep'", text, re.M))
    assert ours == bed
    assert text.index("REVOKE ALL PRIVILEGES ON owncloud.*") < text.index("GRANT")
