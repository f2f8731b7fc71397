"""The addresses of the page and of its HTTP API, which a guide documents."""

import json
import re
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from .. import __version__
from ..errors import DataError, InpaintError
from ..files.pictures import PICTURE_SUFFIXES, filled_name
from .guard import RequestTooLarge
from .session import FillOptions, NameTaken, OpenPhoto, Session, parse_options

STATIC = Path(__file__).parent / "static"
PATIENCE = 10.0  # seconds that a question about a fill waits for news
BINARY = "application/octet-stream"
FORM_FILES, FORM_FIELDS = 2, 60


def make_app(session: Session) -> Starlette:
    """Return the server of `session`, to be put behind a `Guard`."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        session.worker.warm()
        yield
        session.worker.kill()

    api = [
        Route("/state", show_state),
        Route("/models", list_choices),
        Route("/finders", list_finder_kinds),
        Route("/fill", fill_form, methods=["POST"]),
        Route("/photos", upload_photo, methods=["POST"]),
        Route("/photos/{photo}", open_photo),
        Route("/photos/{photo}/view/{version}", show_view),
        Route("/photos/{photo}/masks/{tab}", read_draft),
        Route("/photos/{photo}/masks/{tab}", draw_draft, methods=["PUT"]),
        Route("/photos/{photo}/masks/{tab}/grown", show_grown),
        Route("/photos/{photo}/masks/{tab}/picture", download_mask),
        Route("/photos/{photo}/load-mask", load_mask, methods=["POST"]),
        Route("/photos/{photo}/find", find_in_photo, methods=["POST"]),
        Route("/photos/{photo}/fill", start_fill, methods=["POST"]),
        Route("/photos/{photo}/results/{result}/mask", read_result_mask),
        Route("/photos/{photo}/results/{result}/picture", download_result),
        Route("/photos/{photo}/results/{result}/save", save_result, methods=["POST"]),
        Route("/jobs/{job}", watch_job),
        Route("/jobs/{job}", cancel_job, methods=["DELETE"]),
    ]
    app = Starlette(
        routes=[
            Mount("/api", routes=api),
            Route("/", show_page),
            Mount("/static", StaticFiles(directory=STATIC)),
        ],
        lifespan=lifespan,
        exception_handlers={
            InpaintError: answer_error,
            OSError: answer_error,
            HTTPException: answer_http_error,
        },
    )
    app.state.session = session
    return app


def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Answer with the sentence of an error."""
    if isinstance(error, OSError):
        return JSONResponse({"error": f"{error.strerror or error}; nothing was changed"}, 507)
    kinds: dict[type[Exception], int] = {RequestTooLarge: 413, NameTaken: 409, DataError: 404}
    status = next((code for kind, code in kinds.items() if isinstance(error, kind)), 422)
    return JSONResponse({"error": str(error)}, status)


def answer_http_error(request: Request, error: Exception) -> JSONResponse:
    """Answer as `answer_error` where no address of ours was asked for."""
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": f"{request.url.path}: {error.detail}"}, error.status_code)


def session_of(request: Request) -> Session:
    return request.app.state.session


def photo_of(request: Request) -> OpenPhoto:
    return session_of(request).photo(request.path_params["photo"])


async def json_of(request: Request) -> dict[str, Any]:
    """Return the object of JSON that was sent."""
    return parse_json(await request.body() or b"{}")


def parse_json(text: str | bytes) -> dict[str, Any]:
    """Return an object of JSON."""
    try:
        values = json.loads(text)
    except ValueError as error:
        raise InpaintError(f"the request is not JSON: {error}") from error
    if not isinstance(values, dict):
        raise InpaintError("the request is not an object of JSON; see the guide")
    return values


def number_of(request: Request, name: str, default: int = 0) -> int:
    """Return a whole number of the query."""
    text = request.query_params.get(name, str(default))
    if not re.fullmatch(r"-?\d{1,7}", text):
        raise InpaintError(f"{name} is '{text[:20]}'; give a whole number")
    return int(text)


def numbers_of(request: Request, name: str, count: int) -> list[int]:
    """Return `count` numbers of the query: "1,2,3,4"."""
    text = request.query_params.get(name, "")
    if not re.fullmatch(r"\d{1,6}" + r",\d{1,6}" * (count - 1), text):
        raise InpaintError(f"{name} is '{text[:40]}'; give {count} whole numbers")
    return [int(part) for part in text.split(",")]


# the page --------------------------------------------------------------------------------


def show_page(request: Request) -> FileResponse:
    return FileResponse(STATIC / "index.html")


def show_state(request: Request) -> JSONResponse:
    session = session_of(request)
    photos = [
        {"id": photo.id, "name": photo.name, "given": photo.given, "filled": bool(photo.results)}
        for photo in [*session.photos.values()]
    ]
    return JSONResponse(
        {
            "version": __version__,
            "photos": photos,
            "model": session.model.name or session.model.weights,
            "suffixes": [*PICTURE_SUFFIXES],
        }
    )


def list_choices(request: Request) -> JSONResponse:
    return JSONResponse(session_of(request).worker.call("models"))


def list_finder_kinds(request: Request) -> JSONResponse:
    return JSONResponse(session_of(request).worker.call("finders"))


# photos ----------------------------------------------------------------------------------


async def receive_file(request: Request) -> tuple[Path, str]:
    """Write the body of a request into a file of the session; return it, and its name."""
    path, name = session_of(request).new_upload(request.query_params.get("name", ""))
    await write_upload(path, request.stream())
    return path, name


async def write_upload(path: Path, pieces: AsyncIterable[bytes]) -> None:
    """Write `pieces` to `path`; nothing stays of a file that did not come whole."""
    try:
        with path.open("wb") as file:
            async for piece in pieces:
                file.write(piece)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


async def upload_photo(request: Request) -> JSONResponse:
    """Add a photo that came through the page, once it proved to be one."""
    session = session_of(request)
    path, name = await receive_file(request)

    def work() -> OpenPhoto:
        photo = session.add(path, name, given=False)
        try:
            return session.open(photo.id)
        except InpaintError:
            del session.photos[photo.id]
            path.unlink()
            raise

    return JSONResponse((await run_in_threadpool(work)).to_dict(), 201)


def open_photo(request: Request) -> JSONResponse:
    session = session_of(request)
    photo = session.open(request.path_params["photo"])
    jobs = [job.to_dict() for job in session.jobs.of_photo(photo.id)]
    return JSONResponse(photo.to_dict() | {"jobs": jobs})


def show_view(request: Request) -> Response:
    box, size = numbers_of(request, "box", 4), numbers_of(request, "size", 2)
    version = request.path_params["version"]
    data = session_of(request).view(photo_of(request), version, box, size)
    return Response(data, media_type="image/png")


# masks -----------------------------------------------------------------------------------


def read_draft(request: Request) -> Response:
    data = session_of(request).draft_squares(photo_of(request), request.path_params["tab"])
    return Response(data, media_type=BINARY)


async def draw_draft(request: Request) -> JSONResponse:
    data, tab = await request.body(), request.path_params["tab"]
    await run_in_threadpool(session_of(request).draw, photo_of(request), tab, data)
    return JSONResponse({})


def show_grown(request: Request) -> Response:
    grow, feather = number_of(request, "grow"), number_of(request, "feather")
    tab = request.path_params["tab"]
    data = session_of(request).grown(photo_of(request), tab, grow, feather)
    return Response(data, media_type=BINARY)


def download_mask(request: Request) -> Response:
    photo = photo_of(request)
    data = session_of(request).mask_picture(photo, request.path_params["tab"])
    return attach(data, "image/png", f"{Path(photo.name).stem}_mask.png")


async def load_mask(request: Request) -> Response:
    """Answer with the squares of a mask file, or of the photo's transparency."""
    session, photo = session_of(request), photo_of(request)
    if request.query_params.get("source") == "alpha":
        data, notes = await run_in_threadpool(session.load_mask, photo, Path("alpha"), "")
    else:
        path, name = await receive_file(request)
        try:
            data, notes = await run_in_threadpool(session.load_mask, photo, path, name)
        finally:
            path.unlink()
    return Response(data, media_type=BINARY, headers=note_header(notes))


async def find_in_photo(request: Request) -> Response:
    """Answer with the squares of what a finder finds; the body is the file it compares with."""
    session, photo, query = session_of(request), photo_of(request), request.query_params
    settings = parse_json(query.get("settings", "{}"))
    path, _ = await receive_file(request)
    try:
        data, sentence = await run_in_threadpool(
            session.find,
            photo,
            query.get("version"),
            query.get("kind", ""),
            settings,
            path if path.stat().st_size else None,
        )
    finally:
        path.unlink()
    return Response(data, media_type=BINARY, headers=note_header([sentence]))


def read_result_mask(request: Request) -> Response:
    data = session_of(request).result_squares(photo_of(request), request.path_params["result"])
    return Response(data, media_type=BINARY)


# fills -----------------------------------------------------------------------------------


async def start_fill(request: Request) -> JSONResponse:
    values = await json_of(request)
    tab, base = str(values.pop("tab", "")), values.pop("base", None)
    options, photo = parse_options(FillOptions, values), photo_of(request)
    job = await run_in_threadpool(session_of(request).start_fill, photo, tab, base, options)
    return JSONResponse(job.to_dict(), 202)


def watch_job(request: Request) -> JSONResponse:
    job = session_of(request).job(request.path_params["job"])
    return JSONResponse(job.to_dict(number_of(request, "seen", -1), PATIENCE))


def cancel_job(request: Request) -> JSONResponse:
    return JSONResponse(session_of(request).cancel(request.path_params["job"]).to_dict())


async def save_result(request: Request) -> JSONResponse:
    values = await json_of(request)
    saved = await run_in_threadpool(
        session_of(request).save,
        photo_of(request),
        request.path_params["result"],
        str(values.get("name", "")),
        overwrite=values.get("overwrite") is True,
        with_mask=values.get("mask") is True,
    )
    return JSONResponse(saved)


def download_result(request: Request) -> Response:
    photo = photo_of(request)
    data, format = session_of(request).result_file(photo, request.path_params["result"])
    return attach(data, media_type(format), filled_name(photo.name))


async def fill_form(request: Request) -> Response:
    """Fill one photo that is sent with its mask: what scripts call."""
    session = session_of(request)
    fields: dict[str, Any] = {}
    files: dict[str, tuple[Path, str]] = {}
    try:
        async with request.form(max_files=FORM_FILES, max_fields=FORM_FIELDS) as form:
            for key, value in form.multi_items():
                if not isinstance(value, UploadFile):
                    fields[key] = [*fields.get(key, []), value]
                elif key in ("photo", "mask") and key not in files:
                    files[key] = await keep_upload(session, value)
                else:
                    raise InpaintError(f"'{key}' is no file to send; send one photo and one mask")
        data, format, notes = await run_in_threadpool(session.fill_file, files, fields)
    finally:
        for path, _ in files.values():
            path.unlink()
    return Response(data, media_type=media_type(format), headers=note_header(notes))


async def keep_upload(session: Session, upload: UploadFile) -> tuple[Path, str]:
    """Write a file of a form into one of the session; return it, and its name."""
    path, name = session.new_upload(upload.filename or "")

    async def read_pieces() -> AsyncIterator[bytes]:
        while piece := await upload.read(2**20):
            yield piece

    await write_upload(path, read_pieces())
    return path, name


def note_header(notes: list[str]) -> dict[str, str]:
    """Return sentences as a header: a list of JSON in ASCII."""
    return {"Inpaint-Notes": json.dumps(notes)}


def media_type(format: str) -> str:
    """Return the media type of a format of Pillow."""
    from PIL import Image

    return Image.MIME.get(format, BINARY)


def attach(data: bytes, kind: str, name: str) -> Response:
    """Return a file that the browser saves under `name`."""
    disposition = f"attachment; filename*=utf-8''{quote(name)}"
    return Response(data, media_type=kind, headers={"Content-Disposition": disposition})
