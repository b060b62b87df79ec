# tgdav in a container: no root, nothing written outside /data and /tmp.
#
#   docker build -t tgdav .
#   docker run --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#              -v tgdav:/data -p 127.0.0.1:8080:8080 tgdav
#
# Behind a proxy on this machine (deploy/nginx.conf) name the address at which the container sees
# it, too; on Docker's usual network that is -e TGDAV_SERVER_TRUSTED_PROXIES=172.17.0.1
FROM python:3.13-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY tgdav tgdav
RUN pip install --no-cache-dir --prefix=/install .

FROM python:3.13-slim
COPY --from=build /install /usr/local
RUN useradd --uid 10001 --create-home --home-dir /data --shell /usr/sbin/nologin tgdav \
    && chmod 700 /data
USER 10001
VOLUME /data
# Passwords travel in clear on this port: publish it on loopback, or behind a proxy with TLS.
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TGDAV_DATA=/data \
    TGDAV_SERVER_HOST=0.0.0.0 TGDAV_SERVER_INSECURE=true
EXPOSE 8080
STOPSIGNAL SIGTERM
# 401 means alive: the drive answers, and asks who it is.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s CMD ["python", "-c", \
    "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8080, timeout=4); c.request('OPTIONS', '/'); raise SystemExit(c.getresponse().status >= 500)"]
ENTRYPOINT ["tgdav"]
CMD ["serve"]
