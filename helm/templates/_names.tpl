{{- define "alter-egress.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "alter-egress.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains (include "alter-egress.name" .) .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "alter-egress.name" .) | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "alter-egress.selectorLabels" -}}
app.kubernetes.io/name: {{ include "alter-egress.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "alter-egress.labels" -}}
{{ include "alter-egress.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "alter-egress.image" -}}
{{- with .Values.image -}}
{{- if .registry }}{{ .registry }}/{{ end }}{{ .repository }}
{{- if .digest }}@{{ .digest }}{{ else }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* Who answers on the ports of a component: its own pods, or the one pod of a trial. */}}
{{- define "alter-egress.servedBy" -}}
{{- if .root.Values.trial.enabled }}trial{{ else }}{{ .component }}{{ end -}}
{{- end -}}

{{- define "alter-egress.serviceAccountName" -}}
{{- $own := printf "%s-%s" (include "alter-egress.fullname" .root) .component -}}
{{- if eq .component "trial" }}{{ $own }}{{ else }}{{ (index .root.Values .component).serviceAccount.name | default $own }}{{ end -}}
{{- end -}}

{{- define "alter-egress.caConfigMapName" -}}
{{- .Values.ca.configMapName | default (printf "%s-ca" (include "alter-egress.fullname" .)) -}}
{{- end -}}

{{/* The certificate that workloads trust, or nothing where it is not known while the chart is rendered. */}}
{{- define "alter-egress.caCertificate" -}}
{{- if .Values.ca.certificate -}}
{{- .Values.ca.certificate -}}
{{- else if .Values.ca.existingSecret -}}
{{- with lookup "v1" "Secret" .Release.Namespace .Values.ca.existingSecret -}}
{{- index (.data | default dict) $.Values.ca.certificateKey | default "" | b64dec -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "alter-egress.proxyScheme" -}}
{{- if and .Values.proxy.tls.existingSecret (not .Values.trial.enabled) }}https{{ else }}http{{ end -}}
{{- end -}}

{{- define "alter-egress.adminScheme" -}}
{{- if and .Values.admin.tls.existingSecret (not .Values.trial.enabled) }}https{{ else }}http{{ end -}}
{{- end -}}

{{- define "alter-egress.adminHosts" -}}
{{- $service := printf "%s-admin" (include "alter-egress.fullname" .) -}}
{{- $inNamespace := printf "%s.%s" $service .Release.Namespace -}}
{{- concat (list $service $inNamespace (printf "%s.svc" $inNamespace) (printf "%s.svc.cluster.local" $inNamespace)) .Values.admin.hosts | join "," -}}
{{- end -}}

{{/* Whether the injector makes its own certificate, for which it needs its token and its role. */}}
{{- define "alter-egress.injectorOwnCertificate" -}}
{{- with .Values.injector.tls }}{{ not (or .existingSecret .certManager.enabled) }}{{ end -}}
{{- end -}}

{{/* Objects of the cluster are shared by all namespaces, so the namespace is in their names. */}}
{{- define "alter-egress.webhookName" -}}
{{ include "alter-egress.fullname" . }}.{{ .Release.Namespace }}
{{- end -}}
