"""Static files in an ASGI site: as they are, and not as a stream."""

from django.http import HttpRequest, HttpResponse
from whitenoise.middleware import WhiteNoiseMiddleware
from whitenoise.responders import StaticFile


class StaticFiles(WhiteNoiseMiddleware):
    """WhiteNoise, whose own answer is an iterator that only WSGI can send; under ASGI Django reads all of it
    in another thread, and warns at each file. Ours are at most a few hundred kilobytes."""

    @staticmethod
    def serve(static_file: StaticFile, request: HttpRequest) -> HttpResponse:
        """The file, or the part of it that was asked for, with WhiteNoise's headers and no others."""
        found = static_file.get_response(request.method, request.META)
        answer = HttpResponse(status=int(found.status))
        del answer["Content-Type"]
        for name, value in found.headers:
            answer[name] = value
        if found.file is not None:
            with found.file:
                answer.content = found.file.read()
        return answer
