"""What boto3 does with nothing but the variables that a container is given, and then with a credential_process."""

import json
import sys

import boto3

access_key, secret_key = sys.argv[1:]

container = boto3.Session()
credentials = container.get_credentials()
keys = [credentials.get_frozen_credentials().access_key for _ in range(2)]
process = boto3.Session(profile_name="reports")
keys.append(process.get_credentials().get_frozen_credentials().access_key)
identities = [it.client("sts").get_caller_identity()["Arn"] for it in (container, process)]

operator = boto3.client("cloudtrail", aws_access_key_id=access_key, aws_secret_access_key=secret_key)
wanted = [{"AttributeKey": "EventName", "AttributeValue": "AssumeRoleWithWebIdentity"}]
events = operator.lookup_events(LookupAttributes=wanted)["Events"]
details = [json.loads(event["CloudTrailEvent"]) for event in events]
print(
    json.dumps(
        {
            "identities": identities,
            "keys": keys,
            "recorded": [detail["responseElements"]["credentials"]["accessKeyId"] for detail in details],
            "namespaces": [detail["requestParameters"]["principalTags"]["namespace"] for detail in details],
        }
    )
)
