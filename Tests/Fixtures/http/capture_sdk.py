"""Captures what the OpenAI Python SDK sends when it creates videos, byte for byte.

Run:  python capture_sdk.py OUTPUT_DIRECTORY
Needs: openai 3.x with httpx2 (or 2.x with httpx). Writes one .request file per call. The boundary is random, so the bytes differ
from run to run; everything else is the SDK's own.
"""
import os, socket, sys, tempfile, threading
import openai

try:
    import httpx2 as httpx
except ImportError:
    import httpx

ANSWER = b'{"id":"video_1","object":"video","model":"sorad-mini","status":"queued","progress":0,"created_at":1,' \
         b'"completed_at":null,"expires_at":null,"prompt":"x","size":"128x128","seconds":"2","remixed_from_video_id":null,"error":null}'


def read_request(connection):
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def capture(directory, name, call):
    path = os.path.join(directory, "s.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)

    def serve():
        connection, _ = listener.accept()
        with open(os.path.join(sys.argv[1], name + ".request"), "wb") as out:
            out.write(read_request(connection))
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(ANSWER), ANSWER))
        connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    client = openai.OpenAI(api_key="local", base_url="http://localhost/v1", max_retries=0,
                           http_client=openai.DefaultHttpxClient(transport=httpx.HTTPTransport(uds=path)))
    call(client)
    thread.join()
    listener.close()
    os.unlink(path)


with tempfile.TemporaryDirectory() as directory:
    print("openai", openai.__version__, "httpx", httpx.__version__)
    capture(directory, "create", lambda c: c.videos.create(
        prompt="a red ball rolls “left”, 红球", model="sorad-mini", seconds="4", size="1280x720",
        extra_body={"seed": 42, "num_inference_steps": 8, "guidance_scale": 2.5, "loop": True, "loras": ["a", "b"]}))
    capture(directory, "create_with_picture", lambda c: c.videos.create(
        prompt="it moves", input_reference=("a \"quoted\" name.png", b"\x89PNG\r\n\x1a\n--\r\n\x00\xff", "image/png")))
    capture(directory, "remix", lambda c: c.videos.remix("video_1", prompt="bluer"))
    if hasattr(c := openai.resources.videos.Videos, "edit"):
        capture(directory, "edit", lambda c: c.videos.edit(prompt="bluer", video=("clip.mp4", b"\x00\x00\x00\x18ftypmp42", "video/mp4"), extra_body={"input_reference": {"image_url": "data:image/png;base64,AA=="}}))
    capture(directory, "delete", lambda c: c.videos.delete("video_1"))
    capture(directory, "list", lambda c: c.videos.list(after="video_1", limit=2, order="asc"))
