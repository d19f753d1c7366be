"""Calls the fake the way AWS's own SDK for Python does, and checks every answer.

usage: judge.py URL
"""
import base64, hashlib, io, json, sys, zipfile
import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, WaiterError

URL = sys.argv[1]
BUCKET = "packages"
TAG = {"Key": "packagecloud:enterprise", "Value": "true"}


def client(name, **config):
    return boto3.client(name, region_name="us-east-1", endpoint_url=URL, aws_access_key_id="AK", aws_secret_access_key="SK",
                        config=Config(retries={"max_attempts": 0}, **config))


def refused(code, call, **args):
    try:
        call(**args)
    except ClientError as e:
        assert e.response["Error"]["Code"] == code, (code, e)
        return
    raise AssertionError("not refused: %s %s" % (call, args))


def code(text):
    b = io.BytesIO()
    with zipfile.ZipFile(b, "w") as z:
        z.writestr(zipfile.ZipInfo("index.js"), text)
    return b.getvalue()


account = client("sts").get_caller_identity()["Account"]

# IAM
iam = client("iam")
trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
         "Principal": {"Service": ["lambda.amazonaws.com", "edgelambda.amazonaws.com"]}}]}
refused("NoSuchEntity", iam.get_role, RoleName="r")
refused("MalformedPolicyDocument", iam.create_role, RoleName="r", AssumeRolePolicyDocument="{")
role = iam.create_role(RoleName="r", AssumeRolePolicyDocument=json.dumps(trust), Description="a & b", Tags=[TAG])["Role"]
refused("EntityAlreadyExists", iam.create_role, RoleName="r", AssumeRolePolicyDocument=json.dumps(trust))
got = iam.get_role(RoleName="r")["Role"]
assert got["AssumeRolePolicyDocument"] == trust and got["Tags"] == [TAG] and got["Arn"] == role["Arn"] and got["Description"] == "a & b", got
iam.tag_role(RoleName="r", Tags=[{"Key": "other", "Value": "<1>"}])
assert {"Key": "other", "Value": "<1>"} in iam.list_role_tags(RoleName="r")["Tags"]
refused("NoSuchEntity", iam.get_role_policy, RoleName="r", PolicyName="p")
iam.put_role_policy(RoleName="r", PolicyName="p", PolicyDocument=json.dumps(trust))
assert iam.get_role_policy(RoleName="r", PolicyName="p")["PolicyDocument"] == trust
iam.update_assume_role_policy(RoleName="r", PolicyDocument=json.dumps(trust))
iam.get_waiter("role_exists").wait(RoleName="r")
results = iam.simulate_principal_policy(PolicySourceArn=client("sts").get_caller_identity()["Arn"], ActionNames=["iam:GetRole", "kms:Encrypt"],
                                        ResourceArns=["*"], ContextEntries=[{"ContextKeyName": "aws:a", "ContextKeyValues": ["b"], "ContextKeyType": "string"}])
assert [r["EvalDecision"] for r in results["EvaluationResults"]] == ["allowed"] * 2

# KMS
kms = client("kms")
refused("MalformedPolicyDocumentException", kms.create_key, Policy="{")
policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "kms:*", "Resource": "*"}]}
refused("MalformedPolicyDocumentException", kms.create_key, Policy=json.dumps(trust))  # nobody could change it
key = kms.create_key(Policy=json.dumps(policy), Description="d", Tags=[{"TagKey": "a", "TagValue": "b"}])["KeyMetadata"]
assert key["KeyState"] == "Enabled" and key["Arn"].endswith(key["KeyId"])
refused("NotFoundException", kms.describe_key, KeyId="alias/k")
kms.create_alias(AliasName="alias/k", TargetKeyId=key["KeyId"])
refused("AlreadyExistsException", kms.create_alias, AliasName="alias/k", TargetKeyId=key["KeyId"])
assert kms.describe_key(KeyId="alias/k")["KeyMetadata"]["Arn"] == key["Arn"]
assert kms.list_keys()["Keys"][0]["KeyArn"] == key["Arn"]
assert kms.list_aliases()["Aliases"][0]["TargetKeyId"] == key["KeyId"]
kms.tag_resource(KeyId=key["KeyId"], Tags=[{"TagKey": "c", "TagValue": "d"}])
assert kms.list_resource_tags(KeyId=key["KeyId"])["Tags"] == [{"TagKey": "a", "TagValue": "b"}, {"TagKey": "c", "TagValue": "d"}]
assert json.loads(kms.get_key_policy(KeyId=key["KeyId"])["Policy"]) == policy
sealed = kms.encrypt(KeyId="alias/k", Plaintext=b"secret", EncryptionContext={"function": "f"})["CiphertextBlob"]
assert kms.decrypt(CiphertextBlob=sealed, KeyId=key["Arn"], EncryptionContext={"function": "f"})["Plaintext"] == b"secret"
refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=sealed, EncryptionContext={"function": "g"})
refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=sealed)
refused("ValidationException", kms.encrypt, KeyId="alias/k", Plaintext=b"x" * 4097)

# Lambda
functions = client("lambda")
create = dict(FunctionName="f", Role=role["Arn"], Runtime="nodejs24.x", Handler="index.handler", MemorySize=128, Timeout=5, Tags={"a": "b"})
refused("ResourceNotFoundException", functions.get_function, FunctionName="f")
refused("InvalidParameterValueException", functions.create_function, Code={"ZipFile": b"no zip"}, **create)
refused("InvalidParameterValueException", functions.create_function, Code={"ZipFile": code("1")}, **{**create, "Runtime": "nodejs20.x"})
functions.create_function(Code={"ZipFile": code("1")}, **create)
refused("ResourceConflictException", functions.create_function, Code={"ZipFile": code("1")}, **create)
functions.get_waiter("function_active_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0})
got = functions.get_function(FunctionName="f")
sha = base64.b64encode(hashlib.sha256(code("1")).digest()).decode()
assert got["Configuration"]["CodeSha256"] == sha and got["Tags"] == {"a": "b"}, got
refused("InvalidParameterValueException", functions.publish_version, FunctionName="f", CodeSha256="x")
assert functions.publish_version(FunctionName="f", CodeSha256=sha, Description="one")["Version"] == "1"
assert functions.publish_version(FunctionName="f")["Version"] == "1", "nothing changed: no new version"
functions.update_function_code(FunctionName="f", ZipFile=code("2"))
functions.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0})
two = functions.publish_version(FunctionName="f")
assert two["Version"] == "2" and two["FunctionArn"].endswith(":f:2"), two
functions.update_function_configuration(FunctionName="f", Timeout=4)
functions.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 0})
assert functions.publish_version(FunctionName="f")["Version"] == "3"
versions = [v for p in functions.get_paginator("list_versions_by_function").paginate(FunctionName="f") for v in p["Versions"]]
assert [v["Version"] for v in versions] == ["$LATEST", "1", "2", "3"] and versions[1]["Description"] == "one"
assert functions.get_function(FunctionName="f", Qualifier="1")["Configuration"]["Timeout"] == 5
arn = got["Configuration"]["FunctionArn"]
functions.tag_resource(Resource=arn, Tags={"c": "d"})
assert functions.list_tags(Resource=arn)["Tags"] == {"a": "b", "c": "d"}

# CloudFront
cloudfront = client("cloudfront")
identity = dict(CallerReference="1", Comment="c & c")
oai = cloudfront.create_cloud_front_origin_access_identity(CloudFrontOriginAccessIdentityConfig=identity)["CloudFrontOriginAccessIdentity"]
assert cloudfront.create_cloud_front_origin_access_identity(CloudFrontOriginAccessIdentityConfig=identity)["CloudFrontOriginAccessIdentity"]["Id"] == oai["Id"]
refused("CloudFrontOriginAccessIdentityAlreadyExists", cloudfront.create_cloud_front_origin_access_identity,
        CloudFrontOriginAccessIdentityConfig={**identity, "Comment": "other"})
listed = [i for p in cloudfront.get_paginator("list_cloud_front_origin_access_identities").paginate() for i in p["CloudFrontOriginAccessIdentityList"]["Items"]]
assert listed[0]["S3CanonicalUserId"] == oai["S3CanonicalUserId"] and listed[0]["Comment"] == "c & c"
control = dict(Name="n", Description="", SigningProtocol="sigv4", SigningBehavior="always", OriginAccessControlOriginType="s3")
oac = cloudfront.create_origin_access_control(OriginAccessControlConfig=control)["OriginAccessControl"]
assert oac["OriginAccessControlConfig"] == control, oac
refused("OriginAccessControlAlreadyExists", cloudfront.create_origin_access_control, OriginAccessControlConfig=control)
assert cloudfront.list_origin_access_controls()["OriginAccessControlList"]["Items"][0]["Name"] == "n"
policy = dict(Name="n", MinTTL=0, DefaultTTL=86400, MaxTTL=31536000, ParametersInCacheKeyAndForwardedToOrigin=dict(
    EnableAcceptEncodingGzip=False, EnableAcceptEncodingBrotli=False, HeadersConfig=dict(HeaderBehavior="whitelist", Headers=dict(Quantity=1, Items=["X-A"])),
    CookiesConfig=dict(CookieBehavior="none"), QueryStringsConfig=dict(QueryStringBehavior="none")))
cache = cloudfront.create_cache_policy(CachePolicyConfig=policy)["CachePolicy"]
assert cloudfront.get_cache_policy(Id=cache["Id"])["CachePolicy"]["CachePolicyConfig"] == policy, cache
assert cloudfront.list_cache_policies(Type="custom")["CachePolicyList"]["Items"][0]["CachePolicy"]["CachePolicyConfig"] == policy
refused("CachePolicyAlreadyExists", cloudfront.create_cache_policy, CachePolicyConfig=policy)
config = dict(
    CallerReference="1", Comment="", Enabled=True,
    Origins=dict(Quantity=1, Items=[dict(Id="o", DomainName="packages.s3.eu-central-1.amazonaws.com", S3OriginConfig=dict(OriginAccessIdentity=""), OriginAccessControlId=oac["Id"],
                 CustomHeaders=dict(Quantity=1, Items=[dict(HeaderName="X-B", HeaderValue="1")]))]),
    DefaultCacheBehavior=dict(TargetOriginId="o", ViewerProtocolPolicy="redirect-to-https", CachePolicyId=cache["Id"], Compress=False,
                              AllowedMethods=dict(Quantity=2, Items=["GET", "HEAD"], CachedMethods=dict(Quantity=2, Items=["GET", "HEAD"])),
                              LambdaFunctionAssociations=dict(Quantity=1, Items=[dict(EventType="viewer-request", LambdaFunctionARN=arn + ":3", IncludeBody=False)])),
    CustomErrorResponses=dict(Quantity=1, Items=[dict(ErrorCode=403, ErrorCachingMinTTL=0)]),
    CacheBehaviors=dict(Quantity=1, Items=[dict(PathPattern="/x", TargetOriginId="o", ViewerProtocolPolicy="https-only", ForwardedValues=dict(
        QueryString=True, Cookies=dict(Forward="whitelist", WhitelistedNames=dict(Quantity=1, Items=["c"])), QueryStringCacheKeys=dict(Quantity=1, Items=["q"])), MinTTL=0)]),
)


def without(change):
    c = json.loads(json.dumps(config))
    change(c)
    return {"DistributionConfigWithTags": {"DistributionConfig": c, "Tags": {"Items": [TAG]}}}


behavior, create = "DefaultCacheBehavior", cloudfront.create_distribution_with_tags
refused("InvalidLambdaFunctionAssociation", create, **without(lambda c: c[behavior]["LambdaFunctionAssociations"]["Items"][0].update(LambdaFunctionARN=arn)))
refused("NoSuchCachePolicy", create, **without(lambda c: c[behavior].update(CachePolicyId="x")))
refused("NoSuchOrigin", create, **without(lambda c: c[behavior].update(TargetOriginId="x")))
refused("InvalidOriginAccessIdentity", create, **without(lambda c: c["Origins"]["Items"][0].update(OriginAccessControlId="", S3OriginConfig={"OriginAccessIdentity": "origin-access-identity/cloudfront/x"})))
refused("InvalidViewerCertificate", create, **without(lambda c: c.update(Aliases=dict(Quantity=1, Items=["p.example.com"]))))
made = create(**without(lambda c: None))
distribution = made["Distribution"]
refused("DistributionAlreadyExists", create, **without(lambda c: None))
cloudfront.get_waiter("distribution_deployed").wait(Id=distribution["Id"], WaiterConfig={"Delay": 0})
got = cloudfront.get_distribution_config(Id=distribution["Id"])


def contains(have, want, path=""):
    if isinstance(want, dict):
        for k, v in want.items():
            assert k in have, path + "." + k
            contains(have[k], v, path + "." + k)
    elif isinstance(want, list):
        assert len(have) == len(want), path
        for i, v in enumerate(want):
            contains(have[i], v, "%s[%d]" % (path, i))
    else:
        assert have == want, (path, have, want)


contains(got["DistributionConfig"], config)
changed = {**got["DistributionConfig"], "Comment": "new"}
refused("InvalidIfMatchVersion", cloudfront.update_distribution, Id=distribution["Id"], DistributionConfig=changed)
refused("PreconditionFailed", cloudfront.update_distribution, Id=distribution["Id"], DistributionConfig=changed, IfMatch="x")
refused("IllegalUpdate", cloudfront.update_distribution, Id=distribution["Id"], DistributionConfig={**changed, "CallerReference": "2"}, IfMatch=got["ETag"])
after = cloudfront.update_distribution(Id=distribution["Id"], DistributionConfig=changed, IfMatch=got["ETag"])
assert after["ETag"] != got["ETag"] and after["Distribution"]["DistributionConfig"]["Comment"] == "new"
assert cloudfront.get_distribution_config(Id=distribution["Id"])["DistributionConfig"] == changed, "a round trip changes nothing"
cloudfront.tag_resource(Resource=distribution["ARN"], Tags={"Items": [{"Key": "a", "Value": "b"}]})
assert cloudfront.list_tags_for_resource(Resource=distribution["ARN"])["Tags"]["Items"] == [{"Key": "a", "Value": "b"}, TAG]
summary = [d for p in cloudfront.get_paginator("list_distributions").paginate() for d in p["DistributionList"]["Items"]][0]
contains(summary["Origins"], config["Origins"])
refused("NoSuchDistribution", cloudfront.get_distribution, Id="EXXX")

# CloudFront functions and their stores
refused("EntityNotFound", cloudfront.describe_key_value_store, Name="k")
made = cloudfront.create_key_value_store(Name="k", Comment="c & c", Tags={"Items": [TAG]})
assert made["ETag"] and made["KeyValueStore"]["Comment"] == "c & c", made
refused("EntityAlreadyExists", cloudfront.create_key_value_store, Name="k")
for _ in range(9):
    store = cloudfront.describe_key_value_store(Name="k")["KeyValueStore"]
    if store["Status"] == "READY":
        break
assert store["ARN"].endswith(":key-value-store/" + store["Id"]) and store["Status"] == "READY", store
assert cloudfront.list_tags_for_resource(Resource=store["ARN"])["Tags"]["Items"] == [TAG]
# The number of the account stands before the host; the signature is SigV4A, by awscrt.
keys = boto3.client("cloudfront-keyvaluestore", region_name="us-east-1", endpoint_url="http://kvs.test", aws_access_key_id="AK", aws_secret_access_key="SK",
                    config=Config(retries={"max_attempts": 0}, proxies={"http": URL}))
at = {"KvsARN": store["ARN"]}
etag = keys.describe_key_value_store(**at)["ETag"]
refused("ResourceNotFoundException", keys.describe_key_value_store, KvsARN=store["ARN"] + "0")
refused("ConflictException", keys.put_key, Key="a/b", Value="1", IfMatch="x", **at)
refused("ValidationException", keys.put_key, Key="a", Value="v" * 1025, IfMatch=etag, **at)
first = keys.put_key(Key="a/b", Value="1", IfMatch=etag, **at)
assert first["ETag"] != etag and first["ItemCount"] == 1 and first["TotalSizeInBytes"] == 4, first
refused("ResourceNotFoundException", keys.update_keys, IfMatch=first["ETag"], Puts=[{"Key": "c", "Value": "3"}], Deletes=[{"Key": "d"}], **at)
after = keys.update_keys(IfMatch=first["ETag"], Puts=[{"Key": k, "Value": "v" + k} for k in "cdefg"], Deletes=[{"Key": "a/b"}], **at)
assert after["ItemCount"] == 5, after
listed = [i for p in keys.get_paginator("list_keys").paginate(**at) for i in p["Items"]]
assert listed == [{"Key": k, "Value": "v" + k} for k in "cdefg"], listed
assert keys.get_key(Key="c", **at)["Value"] == "vc"
refused("ResourceNotFoundException", keys.get_key, Key="a/b", **at)
last = keys.delete_key(Key="g", IfMatch=after["ETag"], **at)
state = keys.describe_key_value_store(**at)
assert state["ItemCount"] == 4 and state["ETag"] == last["ETag"] and state["LastModified"] > state["Created"] and state["Status"] == "READY", state

config = dict(Comment="c & c", Runtime="cloudfront-js-2.0", KeyValueStoreAssociations=dict(Quantity=1, Items=[dict(KeyValueStoreARN=store["ARN"])]))
source = b"async function handler(event) { return event.request; } // \xc3\xa4"
refused("NoSuchFunctionExists", cloudfront.describe_function, Name="f")
refused("FunctionSizeLimitExceeded", cloudfront.create_function, Name="f", FunctionConfig=config, FunctionCode=b"x" * 10241)
refused("InvalidArgument", cloudfront.create_function, Name="f", FunctionConfig={**config, "Runtime": "cloudfront-js-1.0"}, FunctionCode=source)
made = cloudfront.create_function(Name="f", FunctionConfig=config, FunctionCode=source, Tags={"Items": [TAG]})
summary = made["FunctionSummary"]
assert summary["FunctionConfig"] == config and summary["Status"] == "UNPUBLISHED" and summary["FunctionMetadata"]["Stage"] == "DEVELOPMENT", summary
refused("FunctionAlreadyExists", cloudfront.create_function, Name="f", FunctionConfig=config, FunctionCode=source)
assert cloudfront.list_tags_for_resource(Resource=summary["FunctionMetadata"]["FunctionARN"])["Tags"]["Items"] == [TAG]
got = cloudfront.get_function(Name="f", Stage="DEVELOPMENT")
assert got["FunctionCode"].read() == source and got["ETag"] == made["ETag"], got
refused("NoSuchFunctionExists", cloudfront.get_function, Name="f", Stage="LIVE")
refused("PreconditionFailed", cloudfront.test_function, Name="f", IfMatch="x", EventObject=b"{}")
tested = cloudfront.test_function(Name="f", IfMatch=made["ETag"], Stage="DEVELOPMENT", EventObject=b'{"a": 1}')["TestResult"]
assert json.loads(tested["FunctionOutput"]) == {"code": len(source), "keys": ["c", "d", "e", "f"], "event": {"a": 1}}, tested
assert tested["FunctionExecutionLogs"] == ["one line"] and tested["ComputeUtilization"].isdigit(), tested
failed = cloudfront.test_function(Name="f", IfMatch=made["ETag"], EventObject=b"fail")["TestResult"]
assert failed["FunctionErrorMessage"] == "it fails" and "FunctionOutput" not in failed, failed
associated = cloudfront.get_distribution_config(Id=distribution["Id"])
function = dict(EventType="viewer-request", FunctionARN=summary["FunctionMetadata"]["FunctionARN"])


def associate(functions, lambdas):
    g = associated["DistributionConfig"]
    b = {**g[behavior], "FunctionAssociations": dict(Quantity=len(functions), Items=functions), "LambdaFunctionAssociations": dict(Quantity=len(lambdas), Items=lambdas)}
    return dict(Id=distribution["Id"], IfMatch=associated["ETag"], DistributionConfig={**g, behavior: b})


refused("InvalidFunctionAssociation", cloudfront.update_distribution, **associate([function], []))
refused("InvalidIfMatchVersion", cloudfront.publish_function, Name="f", IfMatch="")
assert cloudfront.publish_function(Name="f", IfMatch=made["ETag"])["FunctionSummary"]["FunctionMetadata"]["Stage"] == "LIVE"
refused("InvalidFunctionAssociation", cloudfront.update_distribution, **associate([function], associated["DistributionConfig"][behavior]["LambdaFunctionAssociations"]["Items"]))
cloudfront.update_distribution(**associate([function], []))
contains(cloudfront.get_distribution_config(Id=distribution["Id"])["DistributionConfig"][behavior]["FunctionAssociations"]["Items"], [function])
cloudfront.get_waiter("distribution_deployed").wait(Id=distribution["Id"], WaiterConfig={"Delay": 0})
assert cloudfront.describe_function(Name="f", Stage="LIVE")["FunctionSummary"]["Status"] == "DEPLOYED"
refused("PreconditionFailed", cloudfront.update_function, Name="f", IfMatch="x", FunctionConfig=config, FunctionCode=source)
after = cloudfront.update_function(Name="f", IfMatch=made["ETag"], FunctionConfig=config, FunctionCode=b"new")
assert after["ETag"] == cloudfront.describe_function(Name="f")["ETag"] != made["ETag"], after
assert cloudfront.get_function(Name="f", Stage="LIVE")["FunctionCode"].read() == source, "not published yet"
cloudfront.publish_function(Name="f", IfMatch=after["ETag"])
assert cloudfront.get_function(Name="f", Stage="LIVE")["FunctionCode"].read() == b"new"

# S3
s3 = client("s3", s3={"addressing_style": "path"})
refused("NoSuchBucketPolicy", s3.get_bucket_policy, Bucket=BUCKET)
refused("NoSuchBucket", s3.get_bucket_policy, Bucket="missing")
refused("MalformedPolicy", s3.put_bucket_policy, Bucket=BUCKET, Policy="{")


def statement(principal):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "a", "Effect": "Allow", "Principal": principal, "Action": ["s3:GetObject"], "Resource": "arn:aws:s3:::packages/*"}]})


refused("MalformedPolicy", s3.put_bucket_policy, Bucket=BUCKET, Policy=statement({"CanonicalUser": "0"}))
s3.put_bucket_policy(Bucket=BUCKET, Policy=statement({"CanonicalUser": oai["S3CanonicalUserId"]}))
kept = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])["Statement"][0]
assert kept["Principal"] == {"AWS": "arn:aws:iam::cloudfront:user/CloudFront Origin Access Identity " + oai["Id"]} and kept["Action"] == "s3:GetObject", kept
refused("NoSuchTagSet", s3.get_bucket_tagging, Bucket=BUCKET)
s3.put_bucket_tagging(Bucket=BUCKET, Tagging={"TagSet": [TAG]})
assert s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"] == [TAG]
refused("NoSuchPublicAccessBlockConfiguration", s3.get_public_access_block, Bucket=BUCKET)
block = dict(BlockPublicAcls=True, IgnorePublicAcls=True, BlockPublicPolicy=True, RestrictPublicBuckets=True)
s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=block)
assert s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"] == block
refused("AccessDenied", s3.put_bucket_policy, Bucket=BUCKET, Policy=statement("*"))
assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] == "eu-central-1"
print("judged")
