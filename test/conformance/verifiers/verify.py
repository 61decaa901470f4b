"""Verifies tokens with PyJWT: reads the cases from the file named on the command line, prints the verdicts."""

import datetime
import json
import sys

import jwt


class CaseTime(datetime.datetime):
    """The time that PyJWT asks for: that of the case, where it names one."""

    at: float | None = None

    @classmethod
    def now(cls, tz=None):
        return super().now(tz) if cls.at is None else cls.fromtimestamp(cls.at, tz)


jwt.api_jwt.datetime = CaseTime


def signing_key(case: dict):
    if "keySet" not in case:
        return live.get_signing_key_from_jwt(case["token"])
    kid = jwt.get_unverified_header(case["token"]).get("kid")
    return jwt.PyJWKSet.from_dict(task["keySets"][case["keySet"]])[kid]


def verdict(case: dict) -> dict:
    CaseTime.at = case.get("now")
    try:
        claims = jwt.decode(
            case["token"],
            signing_key(case).key,
            algorithms=[case["algorithm"]],
            audience=case["audience"],
            issuer=case["issuer"],
            options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
        )
        return {"accepted": True, "detail": claims["sub"]}
    except (jwt.PyJWTError, KeyError) as error:
        return {"accepted": False, "detail": f"{type(error).__name__}: {error}"}


with open(sys.argv[1], encoding="utf-8") as file:
    task = json.load(file)
live = jwt.PyJWKClient(task["jwksUrl"])
print(json.dumps([verdict(case) for case in task["cases"]]))
