"""Rows about content types, JSON texts and forms."""
from malformed.case import JSON, closes, field, form, keeps, part, post, sized

TYPES = [
    keeps("no type", sized("{}", kind=None), 415),
    keeps("two types", sized("{}", JSON), 415),
    *[keeps(f"type {value!r}", sized("{}", kind=f"Content-Type: {value}"), 415)
      for value in ("", "text/plain", "text/json", "application/x-www-form-urlencoded", "application/octet-stream", "application",
                    "application/json; charset", "application/json; charset=utf-16", "application/json; charset=latin1",
                    "application/json, text/plain", "application/json; a=b; a=c", 'application/json; a="b', "application/json a",
                    "multipart/mixed; boundary=b", "multipart/form-data; boundary=a; boundary=b", "*/*")],
    *[keeps(f"content coding {value!r}", sized("{}", f"Content-Encoding: {value}"), 415) for value in ("gzip", "identity, br", "nonsense")],
    *[keeps(f"form with {value!r} for a boundary", form("--b--\r\n", boundary=value), 400)
      for value in ("charset=utf-8", 'boundary=""', 'boundary="b "', f"boundary={'b' * 71}", 'boundary="b*"', 'boundary="é"')],
]

JSON_TEXTS = [
    *[keeps(f"JSON {name}", sized(text), 400) for name, text in {
        "of white space": "  \r\n", "cut in an object": '{"prompt":"x"', "cut in a string": '{"prompt":"x', "cut in an escape": '{"prompt":"\\u00',
        "with a brace too many": '{"prompt":"x"}}', "and a second document": "{} {}", "and a NUL": b"{}\0", "that begins with a NUL": b"\0{}",
        "with two byte order marks": b"\xef\xbb\xbf" * 2 + b"{}", "with a byte order mark inside": b"{\xef\xbb\xbf}", "with half a byte order mark": b"\xef\xbb{}", "in UTF-16": '{"prompt":"x"}'.encode("utf-16"), "with a comma at the end": '{"prompt":"x",}',
        "with two commas": '{"prompt":"x",,"n":1}', "without a colon": '{"prompt" "x"}', "with a key without quotes": '{prompt:"x"}',
        "in single quotes": "{'prompt':'x'}", "with a comment": '{"prompt":"x"/* y */}', "with a line comment": '{} // x', "of NaN": '{"seed":NaN}',
        "of Infinity": '{"seed":Infinity}', "with a plus sign": '{"seed":+1}', "with a leading zero": '{"seed":01}', "with a bare point": '{"seed":.5}',
        "with a point and no digits": '{"seed":1.}', "with an empty exponent": '{"seed":1e}', "with a hexadecimal number": '{"seed":0x10}',
        "with a lone minus": '{"seed":-}', "with a number of 65 digits": '{"seed":' + "1" * 65 + "}", "with True": '{"loop":True}', "with nil": '{"seed":nul}',
        "with a key twice": '{"prompt":"x","prompt":"y"}', "with a key twice, once escaped": '{"prompt":"x","\\u0070rompt":"y"}',
        "with half a surrogate pair": '{"prompt":"\\ud83d"}', "with the other half": '{"prompt":"\\ude00"}', "with surrogates in the wrong order": '{"prompt":"\\ude00\\ud83d"}',
        "with a surrogate and a letter": '{"prompt":"\\ud83d\\u0061"}', "with an unknown escape": '{"prompt":"\\x41"}', "with an escape of three digits": '{"prompt":"\\u041"}',
        "with a raw line end in a string": '{"prompt":"a\nb"}', "with a raw tab in a string": '{"prompt":"a\tb"}', "with a raw NUL in a string": b'{"prompt":"a\0b"}',
        "that is not UTF-8": b'{"prompt":"\xff"}', "with an overlong NUL": b'{"prompt":"\xc0\x80"}', "with an encoded surrogate": b'{"prompt":"\xed\xa0\x80"}',
        "with a code point beyond Unicode": b'{"prompt":"\xf5\x80\x80\x80"}', "cut in a code point": b'{"prompt":"\xe2\x82"}', "with a no-break space": '{"prompt":\u00a0"x"}',
        "nested 33 deep": '{"a":' + "[" * 32 + "]" * 32 + "}", "nested a million deep": "[" * 1_000_000, "with 100001 values": '{"a":[' + "0," * 100_000 + "0]}",
        "that is an array": '[{"prompt":"x"}]', "that is a string": '"prompt"', "that is a number": "1", "that is null": "null", "with a form feed": "{\f}",
    }.items()],
]

NAME = 'Content-Disposition: form-data; name="a"'
END = b"--b--\r\n"

FORMS = [
    *[keeps(f"form {name}", form(body), 400) for name, body in {
        "of other text": "hello", "with a preamble of 5000 bytes": b"h" * 5000 + b"\r\n" + part(NAME), "with a preamble and no line end": b"hello" + part(NAME),
        "with text behind its last boundary": part(NAME)[:-2] + b"bye", "with a line feed behind its last boundary": part(NAME)[:-2] + b"\n", "without its boundary": "--c\r\n\r\n--c--\r\n",
        "cut in its boundary": "-", "cut after its boundary": "--b", "cut in a part's header": "--b\r\nContent-Disp", "cut in a part": part(NAME, end=""),
        "without its last boundary": part(NAME, end="--b\r\n"), "with half its last boundary": part(NAME, end="--b-"),
        "with text after a boundary": "--bX\r\n" + "\r\nv\r\n--b--\r\n", "with a space before the dashes": part(NAME)[:-4] + b" --\r\n", "with 5000 spaces after a boundary": b"--b" + b" " * 5000 + b"\r\n" + part(NAME)[5:],
        "with line feeds alone": part(NAME).replace(b"\r\n", b"\n"), "with a line feed in a part's header": part("A: b\nC: d", NAME),
        "with a part without a disposition": part("A: b"), "with an empty part": b"--b\r\n\r\nv\r\n" + END,
        "with an attachment": part('Content-Disposition: attachment; name="a"'), "with two dispositions": part(NAME, NAME),
        "with a part without a name": part("Content-Disposition: form-data"), "with an empty name": part('Content-Disposition: form-data; name=""'),
        "with a name of 257 bytes": part(f'Content-Disposition: form-data; name="{"a" * 257}"'), "with two names": part(NAME + "; name=b"),
        "with a name that is not closed": part('Content-Disposition: form-data; name="a'), "with two filename*": part(NAME + "; filename*=UTF-8''x; filename*=UTF-8''y"),
        "with a part in base64": part(NAME, "Content-Transfer-Encoding: base64"), "with a form within": part(NAME, "Content-Type: multipart/mixed; boundary=c"),
        "with a folded line": part(NAME, " c"), "with a space before a colon": part("Content-Disposition : form-data; name=a"),
        "with NUL in a part's header": part(NAME, b"a: \0"), "with a header that is not UTF-8": part(b'Content-Disposition: form-data; name="\xff"'),
        "with a field twice": field("a") + part(NAME), "with a field as text and as object": field("a") + part('Content-Disposition: form-data; name="a[b]"'),
        "with a field as list and as object": field("a[]") + part('Content-Disposition: form-data; name="a[b]"'),
        "with an open bracket": part('Content-Disposition: form-data; name="a[b"'), "with a closing bracket alone": part('Content-Disposition: form-data; name="a]"'),
        "with a name of brackets alone": part('Content-Disposition: form-data; name="[a]"'), "with text behind brackets": part('Content-Disposition: form-data; name="a[b]c"'),
        "with a list of objects": part('Content-Disposition: form-data; name="a[][b]"'), "with a name nested five deep": part('Content-Disposition: form-data; name="a[b][c][d][e][f]"'),
        "with text that is not UTF-8": part(NAME, content=b"\xff"),
    }.items()],
    keeps("form of 65 parts", form(b"".join(field(f"a{n}") for n in range(65)) + END), 413),
    keeps("form with a part's header of 5000 bytes", form(part("A: " + "b" * 5000, NAME)), 413),
    keeps("form with nine fields in a part's header", form(part(*[f"a{n}: b" for n in range(9)])), 413),
    closes("form with more than 24 MiB of text", form(part(NAME, content="a" * ((24 << 20) + 1))), 413, param="a"),
    keeps("form without a field", form(END), 400, param="prompt"),
    keeps("form with a prompt that is a file", form(part('Content-Disposition: form-data; name="prompt"; filename="a"')), 400, param="prompt"),
    keeps("form with NUL in the prompt", form(part('Content-Disposition: form-data; name="prompt"', content="a\0b")), 400, param="prompt"),
    keeps("form with a prompt that is a list", form(field("prompt[]") + END), 400, param="prompt"),
    keeps("form with a number that is none", form(field("prompt") + field("seed", "7.0") + END), 400, param="seed"),
    keeps("form with a number with a space", form(field("prompt") + field("seed", " 7") + END), 400, param="seed"),
    keeps("form with a picture that is empty", form(field("prompt") + part('Content-Disposition: form-data; name="input_reference"; filename="a"', content="")), 400, param="input_reference"),
    keeps("form with a picture that is text", form(field("prompt") + part('Content-Disposition: form-data; name="input_reference"; filename="a.png"', content="hello")), 400, param="input_reference"),
    keeps("form with two pictures in one place", form(field("prompt") + b"".join(part('Content-Disposition: form-data; name="input_reference[]"; filename="a"', end="") for _ in range(2)) + END), 400, param="input_reference"),
]

CASES = TYPES + JSON_TEXTS + FORMS
