"""A menu behind a PIN: 1 is put through to extension 1001, everything else hears goodbye."""

import asyncio

from eslbridge.server import Call, OutboundServer

PIN = "4711"


async def ask(call: Call, variable: str, prompt: str, digits: int) -> str:
    arguments = f"{digits} {digits} 3 5000 # {prompt} ivr/ivr-that_was_an_invalid_entry.wav {variable}"
    event = await call.execute("play_and_get_digits", arguments)
    return event.get(f"variable_{variable}", "")


async def menu(call: Call) -> None:
    await call.answer()
    if await ask(call, "pin", "ivr/ivr-please_enter_pin_followed_by_pound.wav", len(PIN)) != PIN:
        await call.hangup("CALL_REJECTED")
    elif await ask(call, "choice", "ivr/ivr-enter_ext.wav", 1) == "1":
        await call.execute("transfer", "1001 XML default")
    else:
        await call.execute("playback", "ivr/ivr-thank_you.wav")
        await call.hangup()


async def main(port: int = 8084) -> None:
    async with OutboundServer(menu, port=port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
