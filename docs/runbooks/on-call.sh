# For whoever is on call: `. docs/runbooks/on-call.sh prod`. It defines commands and does nothing else. They only read.
# Needs the AWS CLI 2 with credentials and a region, and the stage's name.

STAGE=${1:-prod}

# What the stacks of this stage have made, and of no stage whose name begins with this one's: _made service ExchangeFunction Lambda::Function
_made() {
  aws cloudformation list-stack-resources --stack-name "token-broker-$STAGE-$1" --output text --query \
    "StackResourceSummaries[?ends_with(ResourceType,'::$3') && starts_with(LogicalResourceId,'$2')].PhysicalResourceId" | grep . # an empty line for each page without one
}

# Which alarms ring now.
rings() {
  # shellcheck disable=SC2046 # many alarms are many words
  aws cloudwatch describe-alarms --alarm-names $(_made monitoring '' CloudWatch::Alarm) $(_made monitoring '' CloudWatch::CompositeAlarm) \
    --alarm-types MetricAlarm CompositeAlarm --state-value ALARM \
    --query '[MetricAlarms,CompositeAlarms][].[AlarmName,StateUpdatedTimestamp]' --output table
}

# output state ExchangesTable: what a stack says of itself.
output() {
  aws cloudformation describe-stacks --stack-name "token-broker-$STAGE-$1" \
    --query "Stacks[0].Outputs[?OutputKey=='$2'].OutputValue" --output text
}

# log Exchange: the name of a function's log group.
log() { _made service "$1Logs" Logs::LogGroup; }

# lambda Exchange: the name of a function.
lambda() { _made service "$1Function" Lambda::Function; }

# faults Exchange 1h: what has gone wrong in a function, as it says itself.
faults() {
  aws logs tail "$(log "$1")" --since "${2:-15m}" --filter-pattern '{ $.level = "ERROR" }'
}

# metric KmsFailures Sum 60: a metric of ours, minute by minute.
metric() {
  aws cloudwatch get-metric-statistics --namespace TokenBroker --metric-name "$1" --statistics "$2" --period 60 \
    --dimensions Name=service,Value=token-broker "Name=stage,Value=$STAGE" \
    --start-time "$(($(date +%s) - ${3:-60} * 60))" --end-time "$(date +%s)" \
    --query "sort_by(Datapoints,&Timestamp)[].[Timestamp,$2]" --output text
}

# ask faults 60: a saved query of Logs Insights over so many minutes. A third word is put where it says PASTE-IT-HERE.
ask() {
  _field() {
    aws logs describe-query-definitions --query-definition-name-prefix "token-broker-$STAGE/$1" \
      --query "queryDefinitions[?name=='token-broker-$STAGE/$1'] | [0].$2" --output text
  }
  # shellcheck disable=SC2046 # several log groups are several words
  _id=$(aws logs start-query --log-group-names $(_field "$1" logGroupNames) \
    --query-string "$(_field "$1" queryString | sed "s|PASTE-IT-HERE|${3:-}|g")" \
    --start-time "$(($(date +%s) - ${2:-60} * 60))" --end-time "$(date +%s)" --query queryId --output text)
  while [ "$(aws logs get-query-results --query-id "$_id" --query status --output text)" = Running ]; do sleep 1; done
  aws logs get-query-results --query-id "$_id" --query 'results[*][?field!=`@ptr`].value' --output text
}

# who denied-clients 60: a rule of Contributor Insights, the ten that come most often in so many minutes.
who() {
  aws cloudwatch get-insight-rule-report --rule-name "token-broker-$STAGE-$1" --period 60 --max-contributor-count 10 \
    --start-time "$(($(date +%s) - ${2:-60} * 60))" --end-time "$(date +%s)" \
    --query 'Contributors[].[join(` `,Keys),ApproximateAggregateValue]' --output table
}
