"""The page's picture for the README, of a real model in a real browser:

    python -m tests.agents.playground.picture models/rl docs/images/chat.png "What is the capital of France?" \\
        --chat="--world rail_tickets --mcp mcp-server-time"

Sends the messages one after the other, greedily, and saves what the browser shows in the end.
"""

import argparse
import base64
import shlex
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.browser import open_tab
from tests.conftest import ROOT

SET = "for (const [id, value] of Object.entries({{temperature: '0', limit: '{}'}})) byId(id).value = chat[id] = value"
OPEN = "for (const folded of document.querySelectorAll('#side details:not(:last-child)')) folded.open = false"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.agents.playground.picture")
    parser.add_argument("model")
    parser.add_argument("out", type=Path)
    parser.add_argument("messages", nargs="+")
    parser.add_argument("--chat", default="", help="more options of k2 chat")
    parser.add_argument("--tokens", type=int, default=150, help="of an answer")
    args = parser.parse_args()
    command = [sys.executable, "-m", "agents.playground", args.model, "--port", "0", *shlex.split(args.chat)]
    process = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, open_tab(Path(profile)) as tab:
            tab.open(f"{url}/", 1200)
            tab.wait("document.body.dataset.ready")
            tab.value(f"{{ {SET.format(args.tokens)}; {OPEN} }}")
            for text in args.messages:
                tab.value("document.getElementById('input').focus()")
                tab.type(text)
                tab.key("Enter", 13, "\r")
                tab.wait("document.getElementById('send').textContent === 'Send'", 600)
            tab.value("new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))")
            picture = tab.call("Page.captureScreenshot", format="png")["data"]
            args.out.write_bytes(base64.b64decode(picture))
            print(tab.value("log.innerText"))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(20)


if __name__ == "__main__":
    main()
