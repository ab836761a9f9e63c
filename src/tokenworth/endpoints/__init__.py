"""Models that another program serves: questions over HTTP, answers kept on disk, their price counted."""

from typing import TYPE_CHECKING

from tokenworth.base.front_door import front_door

if TYPE_CHECKING:
    from tokenworth.endpoints.endpoint import Endpoint as Endpoint
    from tokenworth.endpoints.endpoint import Question as Question
    from tokenworth.endpoints.endpoint_settings import Address as Address
    from tokenworth.endpoints.endpoint_settings import EndpointSettings as EndpointSettings
    from tokenworth.endpoints.endpoint_settings import address_of as address_of
    from tokenworth.endpoints.endpoint_settings import is_endpoint as is_endpoint
    from tokenworth.endpoints.reply import Refusal as Refusal
    from tokenworth.endpoints.reply import Reply as Reply

__getattr__, __dir__, __all__ = front_door(
    __name__,
    {
        ".endpoint": "Endpoint Question",
        ".endpoint_settings": "Address EndpointSettings address_of is_endpoint",
        ".reply": "Refusal Reply",
    },
)
