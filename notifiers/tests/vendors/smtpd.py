"""A mail server on the loopback address, of aiosmtpd: real SMTP, real TLS, and refusals on demand.

Arguments: certificate, key, folder. Listens with TLS from the first byte (smtps), with STARTTLS that it insists on
(starttls), and without TLS (plain); writes the three ports into folder/ports once it does, and each mail it takes into
folder/NUMBER.eml with the envelope in its first lines. While there is a folder/hold, it does not say that it took them. Ends with its
standard input.
"""

import asyncio
import logging
import pathlib
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

CERTIFICATE, KEY, FOLDER = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])


# That it may ask for a password without having asked for TLS itself is said of the door that has TLS from the first byte.
logging.disable(logging.WARNING)
warnings.simplefilter("ignore")


class Postbox:
    """The local part of a recipient says what becomes of the mail."""

    def __init__(self):
        self.taken = 0

    async def handle_RCPT(self, server, session, envelope, address, options):
        user = address.split("@")[0]
        if user == "nobody":
            return "550 5.1.1 no such user"
        if user == "greylisted":
            return "451 4.7.1 greylisted, try again later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        users = {address.split("@")[0] for address in envelope.rcpt_tos}
        if "full" in users:
            return "452 4.2.2 mailbox full"
        if "spam" in users:
            return "554 5.7.1 looks like spam"
        if "silent" in users:
            await asyncio.Event().wait()
        if "slow" in users:
            await asyncio.sleep(30)
        self.taken += 1
        is_tls = server.transport.get_extra_info("sslcontext") is not None
        head = [envelope.mail_from, " ".join(envelope.rcpt_tos), "tls" if is_tls else "clear"]
        text = "\n".join(head).encode() + b"\n" + envelope.original_content
        partial = FOLDER / "partial"
        partial.write_bytes(text)
        partial.rename(FOLDER / f"{self.taken}.eml")
        number = self.taken
        while (FOLDER / "hold").exists():
            await asyncio.sleep(0.05)
        return f"250 2.0.0 queued as {number}"


def check(server, session, envelope, mechanism, login):
    is_known = isinstance(login, LoginPassword) and login == LoginPassword(b"komainu", b"hunter2 with blanks")
    # Without `handled=False` aiosmtpd would leave the answer to us.
    return AuthResult(success=is_known, handled=False)


async def main():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    postbox, loop, ports = Postbox(), asyncio.get_running_loop(), []
    inside = {"authenticator": check, "auth_required": True, "loop": loop}
    doors = [
        (lambda: SMTP(postbox, auth_require_tls=False, enable_SMTPUTF8=True, **inside), context),
        (lambda: SMTP(postbox, tls_context=context, require_starttls=True, **inside), None),
        (lambda: SMTP(postbox, loop=loop), None),
    ]
    for door, tls in doors:
        server = await loop.create_server(door, "127.0.0.1", 0, ssl=tls)
        ports.append(str(server.sockets[0].getsockname()[1]))
    (FOLDER / "ports.partial").write_text(" ".join(ports))
    (FOLDER / "ports.partial").rename(FOLDER / "ports")
    await loop.run_in_executor(None, sys.stdin.read)


asyncio.run(main())
