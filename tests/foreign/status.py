#!/usr/bin/env python3
"""Pulls the consolidated status with a client generated, now, from the project's .proto files.

    status.py --address HOST:PORT --ca CA.pem --token TOKEN_FILE [--period 2023-11]
    status.py --demo DIR        takes the three from DIR/demo.json (`hub_api`, `ca`, `gdl_token`; paths
                                relative to DIR), which the demo leaves

Shows that the call works with the token and is refused without one and with a wrong one
(UNAUTHENTICATED), and that reflection v1alpha lists the services. Exit 0 only if all of it holds.
"""

import argparse
import collections
import importlib
import json
import sys
import tempfile
from pathlib import Path

import grpc
import grpc_tools
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent.parent.parent / "proto"
READY_SECONDS = 60
CALL_SECONDS = 20
NEEDED_SERVICE = "raccordo.v1.StatusService"


def generate(folder):
    """Generates the client into `folder`; returns the modules of status.proto and of its service."""
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("raccordo/v1/*.proto"))
    well_known = str(Path(grpc_tools.__file__).parent / "_proto")
    arguments = ["protoc", f"-I{PROTO}", f"-I{well_known}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(arguments + files) != 0:
        raise SystemExit("the .proto files do not compile with protoc")
    sys.path.insert(0, folder)
    return importlib.import_module("raccordo.v1.status_pb2"), importlib.import_module("raccordo.v1.status_pb2_grpc")


def bearer(token):
    return (("authorization", f"Bearer {token}"),) if token is not None else ()


def refusal(call, request, token):
    """The status code of a call that must not succeed, or None if it did."""
    try:
        call(request, metadata=bearer(token), timeout=CALL_SECONDS)
    except grpc.RpcError as error:
        return error.code()
    return None


def summary(answer, enum_names):
    """What came, in a few lines."""
    states = collections.Counter(
        enum_names.Name(value.value.state).removeprefix("CELL_STATE_").lower()
        for row in answer.rows for value in row.measures)
    freshness = collections.Counter(region.freshness for region in answer.regions)
    yield f"federation {answer.federation}{' (test)' if answer.test else ''}, period {answer.period}, " \
          f"Hub ledger size {answer.ledger_size}"
    yield f"coverage {answer.regions_reporting} of {answer.regions_total} regions; " \
          f"confirmed {freshness[1]}, stale {freshness[2]}, missing {freshness[3]}"
    yield f"{len(answer.rows)} rows; cells: " + ", ".join(f"{state} {count}" for state, count in sorted(states.items()))


def main():
    parser = argparse.ArgumentParser(description="pull the consolidated status with a generated Python client")
    parser.add_argument("--demo", type=Path, help="folder of a demo, with demo.json")
    parser.add_argument("--address", help="host:port of the Hub's server-TLS port")
    parser.add_argument("--ca", type=Path, help="the federation's CA certificate, PEM")
    parser.add_argument("--token", type=Path, help="file with the bearer token of an observer")
    parser.add_argument("--period", default="", help="for example 2023-11; default: the latest")
    arguments = parser.parse_args()
    if arguments.demo:
        told = json.loads((arguments.demo / "demo.json").read_text(encoding="utf-8"))
        arguments.address = arguments.address or told["hub_api"]
        arguments.ca = arguments.ca or arguments.demo / told["ca"]
        arguments.token = arguments.token or arguments.demo / told["gdl_token"]
    if not (arguments.address and arguments.ca and arguments.token):
        parser.error("give --demo DIR, or all of --address, --ca and --token")
    token = arguments.token.read_text(encoding="utf-8").strip()

    failed = []
    with tempfile.TemporaryDirectory(prefix="raccordo-client-") as folder:
        status, services = generate(folder)
        report = importlib.import_module("raccordo.v1.report_pb2")
        credentials = grpc.ssl_channel_credentials(arguments.ca.read_bytes())
        with grpc.secure_channel(arguments.address, credentials) as channel:
            grpc.channel_ready_future(channel).result(timeout=READY_SECONDS)
            call = services.StatusServiceStub(channel).Consolidated
            request = status.ConsolidatedRequest(period=arguments.period)

            answer = call(request, metadata=bearer(token), timeout=CALL_SECONDS)
            for line in summary(answer, report.CellState):
                print(line)
            if not answer.rows or answer.regions_reporting == 0:
                failed.append("the status has no figures")

            # A character in the middle: the last one of base64 may not count.
            middle = len(token) // 2
            wrong = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
            for what, presented in (("without a token", None), ("with a wrong token", wrong)):
                code = refusal(call, request, presented)
                print(f"{what}: {code.name if code else 'ANSWERED'}")
                if code != grpc.StatusCode.UNAUTHENTICATED:
                    failed.append(f"{what} the call was not refused as UNAUTHENTICATED")

            listed = sorted(ProtoReflectionDescriptorDatabase(channel).get_services())
            print("reflection v1alpha lists: " + ", ".join(listed))
            if NEEDED_SERVICE not in listed:
                failed.append(f"reflection does not list {NEEDED_SERVICE}")
    for line in failed:
        print(f"FAILED: {line}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
