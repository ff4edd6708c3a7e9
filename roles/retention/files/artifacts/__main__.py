# SPDX-License-Identifier: GPL-3.0-or-later
"""The part that works as the service's user, started by `labtrack-artifacts`: reads a request from standard input, answers on standard output, both JSON."""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
COMMANDS = {
    "audit": ("audit", "audit"),
    "probe": ("audit", "probe"),
    "usage": ("usage", "usage"),
    "gc": ("collect", "collect"),
    "orphans": ("orphans", "orphans"),
    "archive": ("archive", "archive"),
    "recover": ("recover", "recover"),
    "rewrite": ("rewrite", "rewrite"),
    "counts": ("adopt", "counts"),
    "adopt": ("adopt", "adopt"),
}


def main() -> None:
    """One request, one answer."""
    answer = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    request = json.load(sys.stdin)
    import text

    sys.path.append(request.get("server_dir", ""))
    if request.get("folder"):
        Path(request["folder"]).mkdir(exist_ok=True)
    name, function = COMMANDS[sys.argv[1]]
    module = importlib.import_module(name)
    report = getattr(module, function)(request)
    result = {"report": report, "text": getattr(text, sys.argv[1])(report), "failed": bool(report.get("failed") or report.get("incomplete"))}
    if hasattr(module, "page"):
        result["page"] = module.page(report)
    if request.get("folder"):
        Path(request["folder"], "report.json").write_text(json.dumps(report, indent=2) + "\n")
        Path(request["folder"], "report.txt").write_text(result["text"])
    with os.fdopen(answer, "w") as file:
        json.dump(result, file)


if __name__ == "__main__":
    main()
