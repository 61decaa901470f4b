"""Verifies tokens with PyJWT: reads the cases from the file named on the command line, prints the verdicts."""

import json
import sys

import jwt


def verdict(client: jwt.PyJWKClient, case: dict) -> dict:
    try:
        key = client.get_signing_key_from_jwt(case["token"])
        claims = jwt.decode(
            case["token"],
            key.key,
            algorithms=[case["algorithm"]],
            audience=case["audience"],
            issuer=case["issuer"],
            options={"require": ["exp", "iat", "iss", "aud", "sub", "jti"]},
        )
        return {"accepted": True, "detail": claims["sub"]}
    except jwt.PyJWTError as error:
        return {"accepted": False, "detail": f"{type(error).__name__}: {error}"}


with open(sys.argv[1], encoding="utf-8") as file:
    task = json.load(file)
jwks = jwt.PyJWKClient(task["jwksUrl"])
print(json.dumps([verdict(jwks, case) for case in task["cases"]]))
