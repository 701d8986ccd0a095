{{/*
The security of a container of ours. No value changes any of it, except the number of the user.
*/}}
{{- define "alter-egress.containerSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{- define "alter-egress.podSecurity" -}}
runAsNonRoot: true
runAsUser: {{ . }}
runAsGroup: {{ . }}
fsGroup: {{ . }}
fsGroupChangePolicy: OnRootMismatch
seccompProfile:
  type: RuntimeDefault
{{- end -}}

{{/* Where a pod may run, in lines of its spec, each behind a line feed. */}}
{{- define "alter-egress.placement" -}}
{{- $values := .values }}
{{- with $values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with $values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with $values.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- if .spread }}
topologySpreadConstraints:
{{- if $values.topologySpreadConstraints }}
  {{- toYaml $values.topologySpreadConstraints | nindent 2 }}
{{- else }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "alter-egress.selectorLabels" $.root | nindent 8 }}
        app.kubernetes.io/component: {{ $.component }}
    matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{/*
The spec of a pod of the product: (dict "root" $ "component" "proxy" "role" "proxy" "data" <volume source>).
The secrets are files that only the one container of the pod mounts; the entry point of the image sets RLIMIT_CORE to 0,
which a pod can't, so `command` is left alone. Mode 288 is 0440: the group is that of the user, by fsGroup.
*/}}
{{- define "alter-egress.podSpec" -}}
{{- $root := .root -}}
{{- $values := index $root.Values .component -}}
{{- $isTrial := eq .component "trial" -}}
{{- $host := $root.Values.listenHost -}}
{{- if contains ":" $host }}{{ $host = printf "[%s]" $host }}{{ end -}}
{{- $hasProxy := has .role (list "proxy" "all") -}}
{{- $hasAdmin := has .role (list "admin" "all") -}}
{{- $placed := ternary $root.Values.proxy $values $isTrial -}}
serviceAccountName: {{ include "alter-egress.serviceAccountName" (dict "root" $root "component" .component) }}
automountServiceAccountToken: false
# The variables that Kubernetes makes of Services would begin with ALTER_ too.
enableServiceLinks: false
{{- with $root.Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 2 }}
{{- end }}
securityContext: {{- include "alter-egress.podSecurity" $values.uid | nindent 2 }}
terminationGracePeriodSeconds: {{ add $values.drainSeconds $values.preStopSeconds 10 }}
{{- include "alter-egress.placement" (dict "root" $root "component" .component "values" $placed "spread" (not $isTrial)) }}
containers:
  - name: {{ .component }}
    image: {{ include "alter-egress.image" $root | quote }}
    imagePullPolicy: {{ $root.Values.image.pullPolicy }}
    args: [serve, --role, {{ .role }}]
    securityContext: {{- include "alter-egress.containerSecurity" $values.uid | nindent 6 }}
    env:
      - name: ALTER_STORE_URL{{ if not $isTrial }}_FILE{{ end }}
        value: {{ ternary "sqlite:/var/lib/alter/alter.db" "/run/secrets/alter/store/url" $isTrial }}
      {{- if not $isTrial }}
      - name: ALTER_ROOT_KEY_FILE
        value: /run/secrets/alter/root-key/root-key
      - name: ALTER_STATE_MARKS_FILE
        value: /var/lib/alter-marks/{{ .component }}.json
      {{- end }}
      {{- if $root.Values.ca.existingSecret }}
      - name: ALTER_CA_CERT_FILE
        value: /run/secrets/alter/ca/tls.crt
      - name: ALTER_CA_KEY_FILE
        value: /run/secrets/alter/ca/tls.key
      {{- end }}
      - name: ALTER_OPS_LISTEN
        value: {{ printf "%s:9464" $host | quote }}
      {{- if $hasProxy }}
      - name: ALTER_PROXY_LISTEN
        value: {{ printf "%s:3128" $host | quote }}
      {{- end }}
      {{- if $hasAdmin }}
      - name: ALTER_ADMIN_LISTEN
        value: {{ printf "%s:4180" $host | quote }}
      - name: ALTER_ADMIN_HOSTS
        value: {{ include "alter-egress.adminHosts" $root | quote }}
      {{- end }}
      - name: ALTER_DRAIN_TIMEOUT
        value: {{ printf "%ds" (int $values.drainSeconds) }}
      {{- if not $isTrial }}
      {{- if $values.tls.existingSecret }}
      - name: ALTER_{{ upper .component }}_TLS_CERT_FILE
        value: /run/secrets/alter/tls/tls.crt
      - name: ALTER_{{ upper .component }}_TLS_KEY_FILE
        value: /run/secrets/alter/tls/tls.key
      {{- end }}
      {{- if and (eq .component "proxy") $values.tls.clientCASecret }}
      - name: ALTER_PROXY_TLS_CLIENT_CA_FILE
        value: /run/secrets/alter/client-ca/ca.crt
      {{- end }}
      {{- end }}
      {{- range $name, $value := $root.Values.settings }}
      - name: {{ $name }}
        value: {{ $value | toString | quote }}
      {{- end }}
      {{- with $values.extraEnv }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    ports:
      {{- if $hasProxy }}
      - name: proxy
        containerPort: 3128
      {{- end }}
      {{- if $hasAdmin }}
      - name: admin
        containerPort: 4180
      {{- end }}
      - name: ops
        containerPort: 9464
    startupProbe:
      httpGet: { path: /readyz, port: ops }
      periodSeconds: 1
      failureThreshold: 60
    livenessProbe:
      httpGet: { path: /livez, port: ops }
      periodSeconds: 10
      timeoutSeconds: 3
    readinessProbe:
      httpGet: { path: /readyz, port: ops }
      periodSeconds: 5
      timeoutSeconds: 3
    {{- if gt (int $values.preStopSeconds) 0 }}
    lifecycle:
      preStop:
        sleep: { seconds: {{ $values.preStopSeconds }} }
    {{- end }}
    resources: {{- toYaml $values.resources | nindent 6 }}
    volumeMounts:
      - name: data
        mountPath: /var/lib/alter
      {{- if not $isTrial }}
      - name: marks
        mountPath: /var/lib/alter-marks
      - name: store
        mountPath: /run/secrets/alter/store
        readOnly: true
      - name: root-key
        mountPath: /run/secrets/alter/root-key
        readOnly: true
      {{- end }}
      {{- if $root.Values.ca.existingSecret }}
      - name: ca
        mountPath: /run/secrets/alter/ca
        readOnly: true
      {{- end }}
      {{- if not $isTrial }}
      {{- if $values.tls.existingSecret }}
      - name: tls
        mountPath: /run/secrets/alter/tls
        readOnly: true
      {{- end }}
      {{- if and (eq .component "proxy") $values.tls.clientCASecret }}
      - name: client-ca
        mountPath: /run/secrets/alter/client-ca
        readOnly: true
      {{- end }}
      {{- end }}
      {{- with $values.extraVolumeMounts }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
{{- if or .data (not $isTrial) $root.Values.ca.existingSecret $values.extraVolumes }}
volumes:
  {{- with .data }}
  - name: data
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if not $isTrial }}
  - name: marks
    {{- with $values.stateMarks.existingClaim }}
    persistentVolumeClaim:
      claimName: {{ . }}
    {{- else }}
    # On disk: it holds no secret, and outlives a restart of the node as well.
    emptyDir:
      sizeLimit: 64Mi
    {{- end }}
  - name: store
    secret:
      secretName: {{ $root.Values.store.existingSecret }}
      defaultMode: 288
      items: [{ key: {{ $root.Values.store.key }}, path: url }]
  - name: root-key
    secret:
      secretName: {{ $root.Values.rootKey.existingSecret }}
      defaultMode: 288
      items: [{ key: {{ $root.Values.rootKey.key }}, path: root-key }]
  {{- end }}
  {{- if $root.Values.ca.existingSecret }}
  - name: ca
    secret:
      secretName: {{ $root.Values.ca.existingSecret }}
      defaultMode: 288
      items:
        - { key: {{ $root.Values.ca.certificateKey }}, path: tls.crt }
        - { key: {{ $root.Values.ca.privateKeyKey }}, path: tls.key }
  {{- end }}
  {{- if not $isTrial }}
  {{- if $values.tls.existingSecret }}
  - name: tls
    secret:
      secretName: {{ $values.tls.existingSecret }}
      defaultMode: 288
      items: [{ key: tls.crt, path: tls.crt }, { key: tls.key, path: tls.key }]
  {{- end }}
  {{- if and (eq .component "proxy") $values.tls.clientCASecret }}
  - name: client-ca
    secret:
      secretName: {{ $values.tls.clientCASecret }}
      defaultMode: 288
      items: [{ key: ca.crt, path: ca.crt }]
  {{- end }}
  {{- end }}
  {{- with $values.extraVolumes }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}
{{- end -}}
