/** What a request to an AWS host is signed for. */
export interface AwsScope {
  /** The signing name, which is often not the first label of the host: `bedrock-runtime` signs as `bedrock`. */
  readonly service: string;
  /** Null where the host serves several regions, as S3 Transfer Acceleration does: the credential has to name it. */
  readonly region: string | null;
}

/** Partitions by the domain that their endpoints end in, each with the region of its global endpoints. */
const partitions: readonly { readonly suffix: string; readonly globalRegion: string | null }[] = [
  { suffix: '.amazonaws.com', globalRegion: 'us-east-1' },
  { suffix: '.api.aws', globalRegion: 'us-east-1' },
  { suffix: '.on.aws', globalRegion: null },
  { suffix: '.amazonaws.com.cn', globalRegion: 'cn-north-1' },
  { suffix: '.api.amazonwebservices.com.cn', globalRegion: 'cn-north-1' },
  { suffix: '.on.amazonwebservices.com.cn', globalRegion: null },
  { suffix: '.amazonaws.eu', globalRegion: 'eusc-de-east-1' },
  { suffix: '.api.amazonwebservices.eu', globalRegion: 'eusc-de-east-1' },
  { suffix: '.c2s.ic.gov', globalRegion: 'us-iso-east-1' },
  { suffix: '.api.aws.ic.gov', globalRegion: 'us-iso-east-1' },
  { suffix: '.sc2s.sgov.gov', globalRegion: 'us-isob-east-1' },
  { suffix: '.api.aws.scloud', globalRegion: 'us-isob-east-1' },
  { suffix: '.cloud.adc-e.uk', globalRegion: 'eu-isoe-west-1' },
  { suffix: '.csp.hci.ic.gov', globalRegion: 'us-isof-south-1' },
];

const region = /^(?:[a-z]{2}|eusc)(?:-[a-z]+){1,2}-\d+$/;

/**
 * Signing names that differ from the label that names the service in the host. A key of two labels wins over one of one.
 * From the metadata of the service models that the AWS SDKs are made from.
 */
const signingNames: Readonly<Record<string, string>> = {
  'a2i-runtime.sagemaker': 'sagemaker',
  'agreement-marketplace': 'aws-marketplace',
  aos: 'es',
  'api.tunneling.iot': 'IoTSecuredTunneling',
  appconfigdata: 'appconfig',
  appstream2: 'appstream',
  'appsync-api': 'appsync',
  'appsync-realtime-api': 'appsync',
  'bedrock-agent': 'bedrock',
  'bedrock-agent-runtime': 'bedrock',
  'bedrock-agentcore-control': 'bedrock-agentcore',
  'bedrock-data-automation': 'bedrock',
  'bedrock-data-automation-runtime': 'bedrock',
  'bedrock-runtime': 'bedrock',
  'catalog.marketplace': 'aws-marketplace',
  'cassandra-streams': 'cassandra',
  cloudhsmv2: 'cloudhsm',
  cloudsearchdomain: 'cloudsearch',
  'contact-lens': 'connect',
  'data.iot': 'iotdata',
  'data-ats.iot': 'iotdata',
  'data.iotevents': 'ioteventsdata',
  'data.jobs.iot': 'iot-jobs-data',
  'data-signer': 'signer',
  ddb: 'dynamodb',
  'deployment-marketplace': 'aws-marketplace',
  'discovery-marketplace': 'aws-marketplace',
  email: 'ses',
  'entitlement.marketplace': 'aws-marketplace',
  'entitlement-marketplace': 'aws-marketplace',
  forecastquery: 'forecast',
  'greengrass-ats.iot': 'greengrass',
  'identity-chime': 'chime',
  importexport: 'IngestionService',
  ivsrealtime: 'ivs',
  'lambda-url': 'lambda',
  'mail-manager': 'ses',
  'media-pipelines-chime': 'chime',
  'meetings-chime': 'chime',
  'memory-db': 'memorydb',
  'messaging-chime': 'chime',
  'metering.marketplace': 'aws-marketplace',
  'migrationhub-config': 'mgh',
  'mturk-requester-sandbox': 'mturk-requester',
  'models-v2-lex': 'lex',
  neptune: 'neptune-db',
  oidc: 'sso-oauth',
  'participant.connect': 'execute-api',
  'personalize-events': 'personalize',
  'personalize-runtime': 'personalize',
  pinpoint: 'mobiletargeting',
  'portal.sso': 'awsssoportal',
  queue: 'sqs',
  'reporting-marketplace': 'aws-marketplace',
  'runtime-v2-lex': 'lex',
  's3-accesspoint': 's3',
  's3-control': 's3',
  's3-deprecated': 's3',
  'servicecatalog-appregistry': 'servicecatalog',
  'sms-voice.pinpoint': 'sms-voice',
  transcribestreaming: 'transcribe',
  'voice-chime': 'chime',
};

/** Global endpoints in China that are not in the region of the others. */
const inNingxia = new Set(['budgets', 'health', 'route53']);

/** name.region.es, name.region.aoss, cluster.region.neptune, and the oldest hosts of SQS and EMR: region.queue */
const serviceAfterRegion = new Set(['es', 'aos', 'aoss', 'neptune', 'queue', 'elasticmapreduce', 'cloudsearch']);

/** Older hosts write the region of S3 into the label: `s3-eu-west-1`, `s3-external-1`, `s3-fips-us-gov-west-1`. */
const s3LabelWithRegion = /^s3-(?:fips-)?([a-z]{2}(?:-[a-z]+){1,2}-\d+)$/;

/**
 * What a request to this host (lower case, without port) is signed for, as AWS documents its endpoints. Null for a host
 * that is not one of AWS's: a custom domain, or another product that speaks S3.
 */
export function findAwsScope(host: string): AwsScope | null {
  const partition = partitions.find(({ suffix }) => host.endsWith(suffix));
  if (partition === undefined) return null;
  const labels = host.slice(0, -partition.suffix.length).split('.');
  return findS3Scope(labels, partition.globalRegion) ?? findServiceScope(labels, partition.globalRegion);
}

/** A bucket may have dots in its name and look like anything, so S3 is told from the end of the host. */
function findS3Scope(all: readonly string[], globalRegion: string | null): AwsScope | null {
  const labels = all.at(-1) === 'vpce' ? all.slice(0, -1) : all;
  const last = labels.at(-1)!;
  const older = s3LabelWithRegion.exec(last);
  if (older !== null) return { service: 's3', region: older[1]! };
  if (last === 's3-external-1') return { service: 's3', region: 'us-east-1' };
  if (last === 's3' || last === 's3-fips')
    return globalRegion === null ? null : { service: 's3', region: globalRegion };
  if (last === 's3-accelerate') return { service: 's3', region: null };
  if (last === 'dualstack' && labels.at(-2) === 's3-accelerate') return { service: 's3', region: null };
  if (last === 's3-global') return { service: 's3', region: null };
  if (!region.test(last)) return null;
  const before = labels.at(-2) === 'dualstack' ? labels.at(-3) : labels.at(-2);
  if (before === undefined) return null;
  const name = before.replace(/-fips$/, '');
  if (name === 's3' || name === 's3-control' || name === 's3-accesspoint') return { service: 's3', region: last };
  if (name === 's3-object-lambda' || name === 's3-outposts') return { service: name, region: last };
  // The zone of a directory bucket stands in the label: s3express-use1-az4, s3express-control.
  if (name.startsWith('s3express-')) return { service: 's3express', region: last };
  return null;
}

function findServiceScope(all: readonly string[], globalRegion: string | null): AwsScope | null {
  const labels = (all.at(-1) === 'vpce' ? all.slice(0, -1) : all)
    .filter((label) => !['fips', 'dualstack', 'global'].includes(label))
    .map((label) => label.replace(/-fips$/, '').replace(/^fips-/, ''));
  if (labels.length === 0 || labels.includes('')) return null;
  const last = labels.at(-1)!;
  // service.region, name.service.region
  if (region.test(last)) {
    const service = signingName(labels.slice(0, -1));
    return service === null ? null : { service, region: last };
  }
  const before = labels.at(-2);
  if (before !== undefined && region.test(before))
    return serviceAfterRegion.has(last) ? { service: signingName([last])!, region: before } : null;
  if (last === 'us-gov') {
    const service = signingName(labels.slice(0, -1));
    return service === null ? null : { service, region: 'us-gov-west-1' };
  }
  const name = labels.join('.');
  if (labels.length > 1 && !Object.hasOwn(signingNames, name)) return null; // such as the name of a load balancer
  const service = signingName(labels);
  if (service === null || globalRegion === null) return null;
  return { service, region: globalRegion === 'cn-north-1' && inNingxia.has(service) ? 'cn-northwest-1' : globalRegion };
}

function signingName(labels: readonly string[]): string | null {
  const last = labels.at(-1);
  if (last === undefined) return null;
  for (const length of [3, 2, 1]) {
    const key = labels.slice(-length).join('.');
    if (labels.length >= length && Object.hasOwn(signingNames, key)) return signingNames[key]!;
  }
  // Devices and brokers have hosts of their own: a1b2c3-ats.iot.eu-west-1
  if (last === 'iot' && labels.length > 1) return 'iotdata';
  return last;
}
