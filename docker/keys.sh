#!/bin/sh
# Prints who may do what in the bucket. The web server may put and delete what people upload and nothing else, so whoever takes it
# over cannot delete the signed heads of the history. Only the step that migrates may make the bucket.
set -eu
cat <<JSON
{
  "identities": [
    {
      "name": "web",
      "credentials": [{"accessKey": "$WEB_AWS_ACCESS_KEY_ID", "secretKey": "$WEB_AWS_SECRET_ACCESS_KEY"}],
      "actions": ["Read:$BUCKET", "List:$BUCKET", "Write:$BUCKET/loads/*", "Write:$BUCKET/quarantine/*"]
    },
    {
      "name": "worker",
      "credentials": [{"accessKey": "$AWS_ACCESS_KEY_ID", "secretKey": "$AWS_SECRET_ACCESS_KEY"}],
      "actions": ["Read:$BUCKET", "List:$BUCKET", "Write:$BUCKET"]
    },
    {
      "name": "owner",
      "credentials": [{"accessKey": "$OWNER_AWS_ACCESS_KEY_ID", "secretKey": "$OWNER_AWS_SECRET_ACCESS_KEY"}],
      "actions": ["Admin", "Read", "Write", "List"]
    }
  ]
}
JSON
