"""Many clients at once: in each round every one opens a connection, sends a few requests on it and closes it.

    python crowd.py --clients 1000 --rounds 20

It must hold: every request is answered; with what it asked for, or with a 429 or 503 that has `retry-after`; whatever was
accepted is there afterwards. The jobs are real and small; most are refused, since the queue holds a hundred.
"""
import argparse
import asyncio
import collections
import json
import time

import box as boxes


async def visit(box, number, seen, accepted, times):
    client = await boxes.Client().open(box.socket)
    fields = boxes.TINY | {"seed": number}
    wanted = [("POST", "/v1/videos", fields, {200}), ("GET", "/v1/videos?limit=5", None, {200}), ("GET", "/v1/models", None, {200}),
              ("GET", "/v1/videos/video_nobody", None, {404}), ("GET", "/healthz", None, {200})]
    try:
        for method, path, body, good in wanted[number % 5:] + wanted[:number % 5]:
            began = time.monotonic()
            status, headers, content = await asyncio.wait_for(client.send(method, path, body), 60)
            times.append(time.monotonic() - began)
            seen[status] += 1
            if status in (429, 503):
                assert int(headers["retry-after"]) >= 1, headers
                assert json.loads(content)["error"]["code"] in ("queue_full", "overloaded", "insufficient_memory"), content
                if headers.get("connection") == "close":
                    return
            else:
                assert status in good, (method, path, status, content)
            if method == "POST" and status == 200:
                accepted.add(json.loads(content)["id"])
    finally:
        client.close()


async def crowd(box, clients, rounds):
    seen, accepted, times = collections.Counter(), set(), []
    for turn in range(rounds):
        began = time.monotonic()
        results = await asyncio.gather(
            *[visit(box, turn * clients + n, seen, accepted, times) for n in range(clients)], return_exceptions=True)
        failures = [r for r in results if r is not None]
        assert not failures, f"round {turn}: {len(failures)} clients failed, the first with {failures[0]!r}"
        print(f"round {turn + 1}: {time.monotonic() - began:.2f} s, {dict(sorted(seen.items()))}", flush=True)
    return seen, accepted, times


def run(clients, rounds):
    with boxes.Box() as box:
        box.finish(boxes.TINY)
        seen, accepted, times = asyncio.run(crowd(box, clients, rounds))
        for identifier in accepted:
            assert box.video(identifier)["id"] == identifier
        rss = boxes.memory(box.process.pid)[0]
        print(f"{clients} clients, {rounds} rounds, {sum(seen.values())} requests {dict(sorted(seen.items()))}: no other error; "
              f"answers after {boxes.percentile(times, 0.5) * 1000:.0f} ms (median), {boxes.percentile(times, 0.99) * 1000:.0f} ms (p99); "
              f"{len(accepted)} jobs accepted and all there; RSS {rss / 1e6:.1f} MB")
        assert accepted and seen[200] > 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    run(arguments.clients, arguments.rounds)
