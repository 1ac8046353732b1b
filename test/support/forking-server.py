"""Echo server that forks for each connection, and burns processor time before each echo: seconds, as its argument.

Prints "listening PORT", and on SIGTERM its CPU time since then, children included, as a line of JSON.
"""
import json
import os
import resource
import signal
import socket
import sys
import time

burn_s = float(sys.argv[1])


def cpu_ms():
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return 1000 * sum(usage.ru_utime + usage.ru_stime for usage in usages)


def reap(*_):
    try:
        while os.waitpid(-1, os.WNOHANG)[0] != 0:
            pass
    except ChildProcessError:
        pass


def stop(*_):
    reap()
    print(json.dumps({"msg": "cpu", "cpuMs": cpu_ms() - started_ms}), flush=True)
    os._exit(0)


def serve(connection):
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    while data := connection.recv(65536):
        end = time.process_time() + burn_s
        while time.process_time() < end:
            pass
        connection.sendall(data)
    os._exit(0)


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
signal.signal(signal.SIGCHLD, reap)
signal.signal(signal.SIGTERM, stop)
started_ms = cpu_ms()
print("listening", listener.getsockname()[1], flush=True)
while True:
    connection, _ = listener.accept()
    if os.fork() == 0:
        listener.close()
        serve(connection)
    connection.close()
