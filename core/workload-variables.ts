/** Clients disagree about which of these they read: each has one that is its own. The value is a PEM file. */
export const bundleVariables = [
  'SSL_CERT_FILE', // OpenSSL, Go, Ruby, rustls-native-certs
  'REQUESTS_CA_BUNDLE', // Python requests
  'CURL_CA_BUNDLE',
  'AWS_CA_BUNDLE', // aws CLI, boto3
  'GIT_SSL_CAINFO',
  'PIP_CERT',
  'CARGO_HTTP_CAINFO',
  'DENO_CERT',
  'NODE_EXTRA_CA_CERTS',
] as const;

/** curl and others read one case only of some, Go either. */
export const proxyVariables = [
  ['HTTPS_PROXY', 'https_proxy'],
  ['HTTP_PROXY', 'http_proxy'],
] as const;
export const directVariables = ['NO_PROXY', 'no_proxy'] as const;
