"""An error as Telegram answers it."""


class RpcError(Exception):
    """`message` as Telegram writes it: "FLOOD_WAIT_30"."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
