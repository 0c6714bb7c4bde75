"""A server of its own for a test: `qinsrun serve` at a free port of the loopback interface. Standard library only."""
import subprocess
import sys
import threading


class Serving:
    """A process that listens: its `port` and `address`, and what it has `said` on stderr since."""

    def __init__(self, program, model, *options, **process_options):
        self.process = subprocess.Popen(
            [program, "serve", "-m", model, "--port", "0", *options], stderr=subprocess.PIPE, text=True, **process_options
        )
        for line in self.process.stderr:
            if "listening at " in line:
                break
        else:
            sys.exit("the server did not start")
        self.address = line.split("listening at ")[1].strip()
        self.port = int(self.address.rsplit(":", 1)[1])
        self.said = []
        threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True).start()

    def is_running(self):
        return self.process.poll() is None

    def end(self):
        """Its exit code after SIGTERM."""
        self.process.terminate()
        return self.process.wait(120)
