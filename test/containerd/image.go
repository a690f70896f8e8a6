package containerd

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Image is the name of the built-in image. It begins with a registry, so that the
// runtime does not add one; .invalid never resolves, so that a missing image is an
// error and not a download.
const Image = "logwatch.invalid/logwriter:1"

// entrypoint is the logwriter's path in the image.
const entrypoint = "/logwriter"

// descriptor, manifest and the others are the parts of the OCI image
// specification that a one-layer image needs.
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int               `json:"size"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        descriptor   `json:"config"`
	Layers        []descriptor `json:"layers"`
}

type index struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Manifests     []descriptor `json:"manifests"`
}

type imageConfig struct {
	Architecture string         `json:"architecture"`
	OS           string         `json:"os"`
	Config       processConfig  `json:"config"`
	RootFS       rootFS         `json:"rootfs"`
	History      []historyEntry `json:"history"`
}

type processConfig struct {
	Entrypoint []string `json:"Entrypoint"`
	Cmd        []string `json:"Cmd"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

type historyEntry struct {
	CreatedBy string `json:"created_by"`
}

// buildImage builds the logwriter and an image archive with it in cache, named by the
// program's hash: trees with different logwriters can share a cache, and an archive in
// use never changes.
func buildImage(ctx context.Context, cache string) (string, error) {
	program := filepath.Join(cache, "logwriter")
	if err := buildLogwriter(ctx, program); err != nil {
		return "", err
	}
	content, err := os.ReadFile(program)
	if err != nil {
		return "", fmt.Errorf("read the built logwriter: %w", err)
	}
	sum := sha256.Sum256(content)
	path := filepath.Join(cache, "logwriter-"+hex.EncodeToString(sum[:8])+".tar")
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	archive, err := imageArchive(content)
	if err != nil {
		return "", fmt.Errorf("build the test image: %w", err)
	}
	if err := os.WriteFile(path+".tmp", archive, 0o644); err != nil {
		return "", fmt.Errorf("write the test image: %w", err)
	}
	if err := os.Rename(path+".tmp", path); err != nil {
		return "", fmt.Errorf("rename the test image: %w", err)
	}
	return path, nil
}

// imageArchive returns an OCI image layout in a tar, as "ctr images import" reads it.
func imageArchive(program []byte) ([]byte, error) {
	layer, err := tarOf([]tarFile{{name: entrypoint[1:], mode: 0o755, content: program}})
	if err != nil {
		return nil, err
	}
	var files []tarFile
	blob := func(mediaType string, content []byte) descriptor {
		sum := sha256.Sum256(content)
		digest := hex.EncodeToString(sum[:])
		files = append(files, tarFile{name: "blobs/sha256/" + digest, mode: 0o644, content: content})
		return descriptor{MediaType: mediaType, Digest: "sha256:" + digest, Size: len(content)}
	}
	jsonBlob := func(mediaType string, v any) (descriptor, error) {
		content, err := json.Marshal(v)
		return blob(mediaType, content), err
	}

	layerDesc := blob("application/vnd.oci.image.layer.v1.tar", layer)
	config, err := jsonBlob("application/vnd.oci.image.config.v1+json", imageConfig{
		Architecture: runtime.GOARCH,
		OS:           "linux",
		// A sandbox runs Entrypoint with Cmd.
		Config:  processConfig{Entrypoint: []string{entrypoint}, Cmd: []string{"-pause"}},
		RootFS:  rootFS{Type: "layers", DiffIDs: []string{layerDesc.Digest}},
		History: []historyEntry{{CreatedBy: "logwatch test/containerd"}},
	})
	if err != nil {
		return nil, err
	}
	const manifestType = "application/vnd.oci.image.manifest.v1+json"
	image, err := jsonBlob(manifestType, manifest{
		SchemaVersion: 2, MediaType: manifestType, Config: config, Layers: []descriptor{layerDesc},
	})
	if err != nil {
		return nil, err
	}
	image.Annotations = map[string]string{
		"io.containerd.image.name":          Image,
		"org.opencontainers.image.ref.name": "1",
	}
	top, err := json.Marshal(index{
		SchemaVersion: 2, MediaType: "application/vnd.oci.image.index.v1+json", Manifests: []descriptor{image},
	})
	if err != nil {
		return nil, err
	}
	files = append(files,
		tarFile{name: "oci-layout", mode: 0o644, content: []byte(`{"imageLayoutVersion":"1.0.0"}`)},
		tarFile{name: "index.json", mode: 0o644, content: top})
	return tarOf(files)
}

type tarFile struct {
	name    string
	mode    int64
	content []byte
}

// tarOf archives files without times or owners: equal programs give equal images.
func tarOf(files []tarFile) ([]byte, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, f := range files {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: f.mode, Size: int64(len(f.content))}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("tar header of %s: %w", f.name, err)
		}
		if _, err := w.Write(f.content); err != nil {
			return nil, fmt.Errorf("tar %s: %w", f.name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close the tar: %w", err)
	}
	return buf.Bytes(), nil
}
