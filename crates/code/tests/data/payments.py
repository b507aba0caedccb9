"""The payments service's way to the bank."""
from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass

import httpx
from fastapi import APIRouter, Depends
from hypothesis import given, strategies as st

router = APIRouter()
MAX_ATTEMPTS = 4


class BankError(Exception):
    pass


@dataclass
class Charge:
    order_id: str
    cents: int

    def describe(self, *, currency: str = "EUR") -> str:
        return f"{self.order_id}: {self.cents / 100:.2f} {currency}"


class BankAdapter:
    def __init__(self, client: httpx.AsyncClient, attempts: int = MAX_ATTEMPTS):
        self._client = client
        self.attempts = attempts

    async def charge(self, charge: Charge) -> dict:
        for attempt in range(self.attempts):
            try:
                return await self._post(charge)
            except httpx.TimeoutException:
                await asyncio.sleep(backoff(attempt))
        raise BankError(charge.describe())

    async def _post(self, charge: Charge) -> dict:
        response = await self._client.post("/charges", json={"cents": charge.cents})
        response.raise_for_status()
        return response.json()


def backoff(attempt: int, base: float = 0.1, *rest, cap: float = 2.0, **extra) -> float:
    def jitter(limit):
        return random.uniform(0, limit)

    return jitter(min(cap, base * 2**attempt))


@router.post("/payments/{order_id}")
async def pay(order_id: str, bank: BankAdapter = Depends()):
    return await bank.charge(Charge(order_id, 100))


@router.route("/health", methods=["GET", "HEAD"])
def health():
    return {"ok": True}


def test_describe_prints_euros():
    assert Charge("a", 100).describe() == "a: 1.00 EUR"


@given(st.integers(0, 20))
def test_backoff_stays_under_the_cap(attempt):
    assert backoff(attempt) <= 2.0
