"""JSON bodies of 24 MiB, one after the other from several clients, and an honest client among them.

    python bodies.py --clients 4 --seconds 30

Half of them end in a mistake at their last byte, so that all of it is read; half hold a text that is far too long. It must hold: each is
refused with 400 (or 503 with `retry-after`); the daemon's memory stays below its limit for bodies and what two readers take, and is given
back; 99 of 100 honest requests are answered within 100 ms.
"""
import argparse
import asyncio
import collections
import time

import box as boxes

SIZE = 24 << 20
TEXT = b'{"prompt": "' + b"x" * (SIZE - 14) + b'"'
# 128 MiB of bodies, and three times a body for each of the two threads that read.
MOST = (128 << 20) + 2 * 3 * SIZE + (64 << 20)


async def send(path, last, seen, end):
    while time.monotonic() < end:
        reader, writer = await asyncio.open_unix_connection(path, limit=1 << 20)
        writer.write(f"POST /v1/videos HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {SIZE - 1}\r\n\r\n".encode())
        try:
            for start in range(0, len(TEXT), 1 << 18):
                writer.write(TEXT[start:start + (1 << 18)])
                await writer.drain()
            writer.write(last)
        except ConnectionError:
            # It was refused before it was sent.
            pass
        status, headers, content = await boxes.answer(reader)
        seen[status] += 1
        assert status == 400 or (status == 503 and int(headers["retry-after"]) >= 1), (status, content)
        writer.close()


async def clients(box, count, seconds):
    seen, end, most = collections.Counter(), time.monotonic() + seconds, 0
    work = asyncio.gather(*[send(box.socket, [b"}", b"]"][number % 2], seen, end) for number in range(count)])
    while not work.done():
        await asyncio.wait([work], timeout=0.05)
        most = max(most, boxes.memory(box.process.pid)[0])
    work.result()
    return seen, most


def run(count, seconds, most=0.1):
    with boxes.Box() as box:
        box.finish(boxes.TINY)
        honest = boxes.Honest(box, seconds)
        seen, rss = asyncio.run(clients(box, count, seconds))
        times = honest.times()
        time.sleep(1)
        left = boxes.memory(box.process.pid)[0]
        late = boxes.percentile(times, 0.99)
        print(f"{count} clients with bodies of 24 MiB for {seconds:.0f} s: {dict(seen)}; RSS {rss / 1e6:.0f} MB at most, {left / 1e6:.0f} MB afterwards; an honest client's "
              f"{len(times)} requests: median {boxes.percentile(times, 0.5) * 1000:.1f} ms, p99 {late * 1000:.1f} ms, "
              f"longest {max(times) * 1000:.0f} ms")
        assert seen[400] > 0 and rss < MOST and left < 40e6, (rss, left)
        assert late < most, f"p99 {late:.3f} s"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    run(arguments.clients, arguments.seconds)
