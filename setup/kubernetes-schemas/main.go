// Writes JSON schemas of the Kubernetes objects that the chart and the documentation use, one file a kind, in the
// naming of kubeconform. They are made from the Go types of the API itself, so nothing is fetched while tests run, and
// they are strict: a field that the API does not know is a mistake, where the API server would drop it in silence.
//
//	go run . DIRECTORY
package main

import (
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	admission "k8s.io/api/admissionregistration/v1"
	apps "k8s.io/api/apps/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	batch "k8s.io/api/batch/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	rbac "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
)

type schema = map[string]any

var kinds = map[string][]any{
	"v1": {core.ConfigMap{}, core.Namespace{}, core.PersistentVolumeClaim{}, core.Pod{}, core.Secret{}, core.Service{},
		core.ServiceAccount{}},
	"apps/v1":                         {apps.DaemonSet{}, apps.Deployment{}, apps.StatefulSet{}},
	"autoscaling/v2":                  {autoscaling.HorizontalPodAutoscaler{}},
	"batch/v1":                        {batch.CronJob{}, batch.Job{}},
	"networking.k8s.io/v1":            {networking.Ingress{}, networking.NetworkPolicy{}},
	"policy/v1":                       {policy.PodDisruptionBudget{}},
	"rbac.authorization.k8s.io/v1":    {rbac.ClusterRole{}, rbac.ClusterRoleBinding{}, rbac.Role{}, rbac.RoleBinding{}},
	"admissionregistration.k8s.io/v1": {admission.MutatingWebhookConfiguration{}},
}

// Types that write themselves as something else than their fields.
var special = map[reflect.Type]schema{
	reflect.TypeFor[meta.Time]():            {"type": "string", "format": "date-time"},
	reflect.TypeFor[meta.MicroTime]():       {"type": "string", "format": "date-time"},
	reflect.TypeFor[meta.Duration]():        {"type": "string"},
	reflect.TypeFor[meta.FieldsV1]():        {"type": "object"},
	reflect.TypeFor[resource.Quantity]():    {"type": []string{"string", "number"}},
	reflect.TypeFor[intstr.IntOrString]():   {"type": []string{"string", "integer"}},
	reflect.TypeFor[runtime.RawExtension](): {"type": "object"},
	reflect.TypeFor[[]byte]():               {"type": "string"},
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 2 {
		log.Fatal("usage: go run . DIRECTORY")
	}
	if err := os.MkdirAll(os.Args[1], 0o755); err != nil {
		log.Fatal(err)
	}
	for version, objects := range kinds {
		for _, object := range objects {
			write(os.Args[1], version, reflect.TypeOf(object))
		}
	}
}

func write(directory, version string, kind reflect.Type) {
	definitions := schema{}
	root := structure(kind, definitions)
	root["$schema"] = "http://json-schema.org/draft-07/schema#"
	root["definitions"] = definitions
	properties := root["properties"].(schema)
	properties["apiVersion"] = schema{"const": version}
	properties["kind"] = schema{"const": kind.Name()}
	root["required"] = []string{"apiVersion", "kind", "metadata"}
	text, err := json.Marshal(root)
	if err != nil {
		log.Fatal(err)
	}
	group, number, found := strings.Cut(version, "/")
	suffix := "-" + version
	if found {
		suffix = "-" + strings.Split(group, ".")[0] + "-" + number
	}
	path := filepath.Join(directory, strings.ToLower(kind.Name())+suffix+".json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		log.Fatal(err)
	}
}

func describe(of reflect.Type, definitions schema) schema {
	if known, ok := special[of]; ok {
		return known
	}
	switch of.Kind() {
	case reflect.Pointer:
		return describe(of.Elem(), definitions)
	case reflect.String:
		return schema{"type": "string"}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return schema{"type": "number"}
	case reflect.Slice, reflect.Array:
		return schema{"type": "array", "items": describe(of.Elem(), definitions)}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": describe(of.Elem(), definitions)}
	case reflect.Struct:
		name := strings.ReplaceAll(of.PkgPath(), "/", ".") + "." + of.Name()
		if _, ok := definitions[name]; !ok {
			definitions[name] = schema{} // a type may hold itself
			definitions[name] = structure(of, definitions)
		}
		return schema{"$ref": "#/definitions/" + name}
	default:
		if of.Kind() >= reflect.Int && of.Kind() <= reflect.Uint64 {
			return schema{"type": "integer"}
		}
		log.Fatalf("no schema for %v", of)
		return nil
	}
}

// A field that is written even when it is empty is one that must be given.
func structure(of reflect.Type, definitions schema) schema {
	properties := schema{}
	required := []string{}
	for i := range of.NumField() {
		field := of.Field(i)
		tag, ok := field.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		if !ok || name == "-" {
			continue
		}
		if name == "" {
			inner := structure(field.Type, definitions)
			for key, value := range inner["properties"].(schema) {
				properties[key] = value
			}
			if more, ok := inner["required"].([]string); ok {
				required = append(required, more...)
			}
			continue
		}
		properties[name] = describe(field.Type, definitions)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") &&
			field.Type.Kind() != reflect.Pointer && name != "status" {
			required = append(required, name)
		}
	}
	result := schema{"type": "object", "properties": properties, "additionalProperties": false}
	if len(required) > 0 {
		result["required"] = required
	}
	return result
}
